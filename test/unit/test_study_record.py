"""Records of results: what is written is what is read, and a file that holds something else is refused by name."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sray.errors import FileError, SrayError
from sray_train.paper.study.record import METRICS, Record, add_records, metrics_of, read_records


def record(**own: Any) -> Record:
    fields: dict[str, Any] = {
        "system": "neuray",
        "setting": "finetuned",
        "data": "rooms 09000",
        "metrics": {"strict_miou": 0.5, "psnr": None},
        "seed": 1,
        "seconds": 12.5,
        "commit": "1a2b3c4",
        "config": "config/studies/rooms.yaml",
        "variant": "neuray_depth",
    }
    return Record(**fields | own)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    full = record(
        steps=200,
        input="RGB-D",
        size=(160, 120),
        options={"model.tau": 0.5},
        cost={"gflop": 5.4},
        per_scene={"09000": {"strict_miou": 0.5, "psnr": None}},
        device="AMD EPYC, 1 thread",
    )
    add_records(tmp_path / "new" / "a.json", [record(), full])
    assert read_records(tmp_path / "new" / "a.json") == [record(), full]


def test_empty_texts_that_a_record_must_have_are_written(tmp_path: Path) -> None:
    bare = record(commit="", config="", metrics={})
    add_records(tmp_path / "a.json", [bare])
    assert read_records(tmp_path / "a.json") == [bare]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"metrics": {"psnr": "20"}}, "metrics.psnr: found '20'; expected a valid number"),
        ({"metrics": {"psnr": True}}, "metrics.psnr: found True; expected a valid number"),
        ({"metrics": [0.5]}, "metrics: found [0.5]; expected an object"),
        ({"per_scene": ["09000"]}, "per_scene: found ['09000']; expected an object"),
        ({"per_scene": {"09000": {"miou": 0.5}}}, "per_scene.09000: miou is no metric; expected some of"),
        ({"system": "gpnr"}, "system: found 'gpnr'; expected 'semantic_ray', "),
        ({"setting": "tuned"}, "setting: found 'tuned'; expected 'generalization', "),
        ({"part": "train"}, "part: found 'train'; expected 'test' or 'validation'"),
        ({"metrics": {"miou": 0.5}}, "metrics: miou is no metric; expected some of strict_miou"),
    ],
)
def test_scores_of_another_kind_are_refused(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([asdict(record()) | change]))
    with pytest.raises(FileError) as refused:
        read_records(tmp_path / "a.json")
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "neuray"},
        {"setting": "scratch"},
        {"data": "rooms 09001"},
        {"seed": 2},
        {"steps": 50},
        {"part": "validation"},
        {"input": "RGB-D"},
        {"views": 4},
        {"teacher": "pseudo-labels"},
        {"quality": "fast"},
        {"size": (160, 120)},
    ],
)
def test_another_measurement_is_added_and_the_same_one_replaced(change: dict[str, Any], tmp_path: Path) -> None:
    file, first = tmp_path / "a.json", record(setting="generalization")
    other = record(**{"setting": "generalization"} | change)
    add_records(file, [first])
    add_records(file, [other])
    assert read_records(file) == [first, other]
    again = record(setting="generalization", commit="ffffff0", seconds=1.0, metrics={"strict_miou": 0.6})
    add_records(file, [again])
    assert read_records(file) == [again, other], "in its old place"


def test_the_curve_of_a_scene_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    elsewhere = [record(data="rooms 09001", steps=50), record(teacher="pseudo-labels", steps=50)]
    add_records(file, [*(record(steps=steps) for steps in (0, 50, 100)), *elsewhere])
    shorter = [record(steps=steps, commit="ffffff0") for steps in (0, 20)]
    add_records(file, shorter)
    assert sorted(read_records(file), key=repr) == sorted([*elsewhere, *shorter], key=repr)


def test_one_line_a_record_and_valid_json(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    add_records(file, [record(metrics={"psnr": math.nan}), record(seed=2)])
    lines = file.read_text().splitlines()
    assert len(lines) == 4 and json.loads(lines[1].rstrip(","))["metrics"] == {"psnr": None}
    assert all("options" not in raw and "command" not in raw for raw in json.loads(file.read_text()))


def test_a_folder_is_read_by_name_and_nothing_else_of_it(tmp_path: Path) -> None:
    add_records(tmp_path / "b.json", [record(seed=1)])
    add_records(tmp_path / "a.json", [record(seed=2)])
    (tmp_path / "notes.txt").write_text("no records")
    assert [each.seed for each in read_records(tmp_path)] == [2, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "a.json: record: found {}; expected a valid array"),
        ("[1]", "record.0: found 1; expected an object"),
        ('[{"mIoU": 0.5}]', "record.0: mIoU is not a field of Record; expected one of .*variant"),
        ('[{"system": "neuray"}]', "record.0.setting: .* field required"),
        ("[", "a.json: record: .*JSON"),
    ],
)
def test_what_is_no_list_of_records_is_named(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SrayError, match=said) as caught:
        read_records(tmp_path / "a.json")
    assert isinstance(caught.value, FileError)


def test_the_record_that_is_wrong_is_counted(tmp_path: Path) -> None:
    add_records(tmp_path / "a.json", [record(), record(seed=2)])
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text.replace('"seed": 2', '"sead": 2'))
    with pytest.raises(SrayError, match="record.1: sead is not a field"):
        read_records(tmp_path / "a.json")
    with pytest.raises(SrayError, match="none.json"):
        read_records(tmp_path / "none.json")


def test_a_file_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[oh")
    with pytest.raises(SrayError):
        add_records(tmp_path / "a.json", [record()])
    assert (tmp_path / "a.json").read_text() == "[oh"


def test_the_metrics_of_an_evaluation() -> None:
    found = metrics_of({"strict_miou": 0.123456789, "psnr": math.nan, "frames": 3})
    assert found == dict.fromkeys(METRICS) | {"strict_miou": 0.12346}
