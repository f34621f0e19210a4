"""The paper's tables: its figures as printed, and ours from records alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from table_fixtures import record

from sray_train.paper.study.record import Record
from sray_train.paper.tables import declaration
from sray_train.paper.tables.cells import make_cell
from sray_train.paper.tables.choosing import check_filter, choose
from sray_train.paper.tables.declaration import Table, load_datasets, load_tables
from sray_train.paper.tables.grid import Grid, lay_out


def table(number: int) -> Table:
    return next(each for each in load_tables() if each.number == number)


def laid_out(number: int, *records: Record) -> Grid:
    return lay_out(table(number), load_datasets(), records)


def column(grid: Grid, head: str) -> list[str]:
    return [row[grid.head.index(head)] for row in grid.rows]


@pytest.mark.parametrize(
    ("number", "label", "dataset", "figures"),
    [
        (1, ("Semantic-NeRF", "per scene"), "replica", ["75.06", "94.36", "70.20"]),
        (1, ("S-Ray", "generalization"), "scannet", ["57.15", "78.24", "62.55"]),
        (1, ("NeuRay + semantic head", "fine-tuned"), "replica", ["63.73", "85.54", "70.05"]),
        (2, ("S-Ray, fine-tuned",), "scannet", ["29.27", "0.865", "0.127"]),
        (3, ("7", "radial (intra-view) attention only", "Ft"), "scannet", ["81.24", "89.58"]),
        (4, ("NeuRay + semantic head",), "scannet", ["5k", "~32 min", "79.23"]),
        (5, ("0/1",), "scannet", ["26.57", "3.62"]),
        (6, ("dense attention",), "scannet", ["10.25", "90.46", "94.52"]),
        (7, ("cross-view only",), "scannet", ["1583", "87.01", "93.34"]),
        (8, ("0.2",), "scannet", ["54.03", "77.25", "61.34"]),
        (9, ("Semantic-NeRF", "p"), "scannet", ["N/A", "78.59", "85.64", "92.10"]),
        (9, ("S-Ray", "gt"), "scannet", ["77.82", "93.40", "95.15", "95.39"]),
        (10, ("IBRNet",), "llff", ["24.17", "0.802", "0.215"]),
        (11, ("16",), "scannet", ["84.84", "94.33", "89.78", "27.85", "0.8859"]),
        (16, ("260k",), "scannet", ["89.57", "98.54", "91.02", "57.15", "78.24", "62.55"]),
        (17, ("30k", "S-Ray"), "scannet", ["95.10", "99.43", "99.42", "30.05"]),
    ],
)
def test_the_paper_is_quoted_to_the_digit(
    number: int, label: tuple[str, ...], dataset: str, figures: list[str]
) -> None:
    row = next(row for row in table(number).rows if row.label == label)
    assert row.paper[dataset] == figures


def test_every_table_that_is_asked_for_is_declared() -> None:
    assert [each.number for each in load_tables()] == [None, *range(1, 12), 16, 17]


@pytest.mark.parametrize("change", [("57.15, 78.24", "57.15"), ("[1, full S-Ray, Gen]", "[full S-Ray, Gen]")])
def test_a_declared_row_that_does_not_fit_its_table_is_named(
    change: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (declaration.FOLDER / "table_03.yaml").read_text()
    (tmp_path / "table_03.yaml").write_text(text.replace(*change))
    monkeypatch.setattr(declaration, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"(?s)table_03.yaml: .*row .*full S-Ray.*expected [23]"):
        load_tables()


def test_a_cell_is_the_mean_over_seeds_of_the_means_over_scenes() -> None:
    scores = {(0, "09000"): 0.4, (0, "09001"): 0.6, (1, "09000"): 0.5, (1, "09001"): 0.9}
    records = [
        record(miou=miou, seed=seed, data=f"rooms {scene}", setting="finetuned")
        for (seed, scene), miou in scores.items()
    ]
    # Seeds: 0.5 and 0.7; their standard deviation is 0.2 / sqrt(2).
    assert make_cell("strict_miou", records).text == "60.0 ± 14.1 (2)"
    assert make_cell("strict_miou", records[:2]).text == "50.0"


def test_a_seed_that_has_learned_some_of_the_scenes_is_left_out() -> None:
    scenes = [(0, "09000"), (0, "09001"), (1, "09000")]
    records = [record(seed=seed, data=f"rooms {scene}", setting="finetuned") for seed, scene in scenes]
    other = record(variant="neuray", seed=1, data="rooms 09000", setting="finetuned")
    assert choose([*records, other], {"setting": "finetuned"}) == [*records[:2], other]
    both = [record(seed=0), record(seed=1, data="rooms 9000:9020")]
    assert choose(both, {"setting": "generalization"}) == both, "which a cell calls mixed"


def test_a_measurement_made_twice_counts_once() -> None:
    records = [record(miou=0.2), record(miou=0.4), record(miou=0.9, data="rooms 9001")]
    assert (
        make_cell("strict_miou", [Record(**vars(each) | {"setting": "finetuned"}) for each in records]).text == "60.0"
    )


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ("psnr", "26.57"),
        ("ssim", "0.832"),
        ("lpips", "–"),
        ("steps", "600"),
        ("seconds", "40 s"),
        ("cost.gflop", "5.40"),
        ("cost.peak_mb", "4143"),
        ("cost.other", "–"),
    ],
)
def test_figures_have_their_units(of: str, text: str) -> None:
    metrics = {"psnr": 26.571, "ssim": 0.8321, "lpips": None}
    assert make_cell(of, [record(metrics=metrics, cost={"gflop": 5.4, "peak_mb": 4143.2})]).text == text


def test_a_cell_without_records_says_so_and_one_of_unlike_records_too() -> None:
    assert make_cell("strict_miou", []).text == "not measured"
    assert make_cell("strict_miou", [record(), record(size=(320, 240))]).text == "mixed: size 160x120, 320x240"
    both = [record(), record(data="rooms 9000:9020")]
    assert make_cell("strict_miou", both).text == "mixed: data rooms 9000:9010, rooms 9000:9020"
    with pytest.raises(ValueError, match="strict_iou"):
        make_cell("strict_iou", [record()])


def test_records_are_chosen_by_their_fields() -> None:
    plain, depth = record(), record(input="RGB-D")
    taught, validation = record(teacher="pseudo-labels"), record(part="validation")
    others = [record("neuray"), record(data="scannet scene0000_00")]
    records = [plain, depth, taught, validation, *others]
    where = {"variant": "semantic_ray", "data": "rooms"}
    assert choose(records, where) == [plain]
    assert choose(records, where, {"input": "RGB-D"}) == [depth]
    assert choose(records, where | {"input": "RGB-D"}, {"input": "any"}) == [plain, depth]
    assert choose(records, where, {"teacher": "pseudo-labels"}) == [taught]
    assert choose(records, where, {"views": "4"}) == []
    with pytest.raises(ValueError, match="variants"):
        check_filter({"variants": "neuray"})


def test_the_end_of_each_run_is_taken_where_no_step_is_named() -> None:
    runs = [(0, 50), (0, 200), (1, 50), (1, 150)]
    records = [record(setting="finetuned", seed=seed, steps=steps) for seed, steps in runs]
    assert choose(records, {}) == [records[1], records[3]]
    assert choose(records, {"steps": "50"}) == [records[0], records[2]]


def test_figures_stand_in_their_rows_beside_the_papers() -> None:
    grid = laid_out(
        3,
        record(miou=0.61, seed=0),
        record(miou=0.63, seed=1),
        record("attention_radial", 0.4, setting="finetuned", steps=0, data="rooms 09000"),
        record("attention_radial", 0.7, setting="finetuned", steps=200, data="rooms 09000"),
    )
    ours = column(grid, "ours, rooms: mIoU")
    assert ours[0] == "62.0 ± 1.4 (2)" and ours[6] == "70.0"
    assert set(ours[1:6] + ours[7:]) == {"not measured"}
    assert column(grid, "paper, ScanNet: mIoU")[:2] == ["57.15", "45.34"]
    assert column(grid, "ours, ScanNet") == ["needs ScanNet"] * len(grid.rows)
    assert any("sray study --config config/studies/scannet.yaml --root" in note for note in grid.notes)
    assert any(note.startswith("Not measured on rooms (2, without") for note in grid.notes)


def test_scannet_and_replica_have_columns_once_they_have_records() -> None:
    grid = laid_out(1, record(miou=0.3, data="scannet scene0700_00"), record(miou=0.2, data="replica room_2"))
    row = next(row for row in grid.rows if row[:2] == ["S-Ray", "generalization"])
    assert row[grid.head.index("ours, ScanNet: mIoU")] == "30.0"
    assert row[grid.head.index("ours, Replica: mIoU")] == "20.0"
    assert row[grid.head.index("ours, rooms")] == "not measured"


def test_rows_that_the_paper_has_not_are_marked() -> None:
    grid = laid_out(11)
    assert [row[0] for row in grid.rows] == ["1", "2 †", "4", "8", "12", "16"]
    assert "†: not in the paper." in grid.notes
    assert not any("†" in text for row in [*laid_out(16).rows, laid_out(16).notes] for text in row)


def test_below_a_table_stands_what_it_was_measured_on() -> None:
    tuned = {"setting": "finetuned", "steps": 200, "pictures": 4}
    grid = laid_out(
        3,
        record(pictures=20, device="AMD EPYC", commit="aaaaaaa"),
        record(pictures=20, seed=2, commit="bbbbbbb"),
        record(data="rooms 09000", **tuned),
        record(data="rooms 09001", **tuned),
    )
    measured = [note for note in grid.notes if note.startswith("On rooms")]
    assert measured[0] == (
        "On rooms 9000:9010; generalization, 160x120, quality balanced, RGB; 20 pictures a record; 8 source views; "
        "600 steps; seeds 0, 2; commits aaaaaaa, bbbbbbb; `config/studies/rooms.yaml`; on AMD EPYC. "
        "Rows: 1, full S-Ray, Gen."
    )
    assert measured[1].startswith("On rooms 09000, 09001; finetuned, 160x120, quality balanced, RGB; 4 pictures")


def test_a_row_may_stand_for_every_number_of_steps() -> None:
    course = [
        record("shipped_course", miou, steps=steps, part=part, data=data)
        for steps, part, data, miou in [
            (1000, "test", "rooms 9000:9020", 0.42),
            (500, "test", "rooms 9000:9020", 0.41),
            (500, "validation", "rooms 8000:8020", 0.39),
        ]
    ]
    grid = laid_out(16, *course)
    assert [row[0] for row in grid.rows[-3:]] == ["300k", "500", "1000"]
    assert column(grid, "ours, rooms: test: mIoU")[-3:] == ["", "41.0", "42.0"]
    assert column(grid, "ours, rooms: validation: mIoU")[-3:] == ["", "39.0", "not measured"]
    assert [row[0] for row in laid_out(16).rows[-2:]] == ["300k", "ours"]


def test_a_table_may_lie_on_its_side() -> None:
    grid = laid_out(5, record("loss_0.25_0.75", 0.44))
    assert grid.head[:3] == ["λ1/λ2", "1/0", "0.75/0.25"]
    assert ["paper, ScanNet: mIoU", "55.10", "56.51", "57.15", "58.12", "3.62", ""] in grid.rows
    ours = next(row for row in grid.rows if row[0] == "ours, rooms: mIoU")
    assert ours[1:] == ["not measured"] * 3 + ["44.0"] + ["not measured"] * 2


def test_costs_stand_beside_scores_of_other_records() -> None:
    cost = {"setting": "generalization", "data": "1024 rays x 64 samples", "steps": 0, "seconds": 0.0}
    grid = laid_out(
        6,
        record("attention_dense", None, cost={"gflop": 25.77}, **cost),
        record("semantic_ray", None, cost={"gflop": 4.5}, **cost),
        record("semantic_ray", 0.8, setting="finetuned", data="rooms 09000", steps=200),
    )
    assert column(grid, "ours, rooms: GFLOP") == ["not measured", "25.77", "not measured", "not measured", "4.50"]
    assert column(grid, "ours, rooms: mIoU") == ["not measured", "–", "not measured", "not measured", "80.0"]
    assert column(grid, "ours, ScanNet") == ["needs ScanNet"] * 5
