"""`sray data check` on generated rooms: every fault is found and named, and nothing where nothing is wrong."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_check_fixtures import (
    FURTHER_FAULTS,
    MAIN_FAULTS,
    RAW_SCANNET,
    Matrix,
    broken,
    change_intrinsics,
    change_labels,
    check,
    problems,
    warnings,
)

from sray.errors import FileError, SrayError
from sray_train.cli import main
from sray_train.data.rooms import make_rooms
from sray_train.tools.data_check.opening import open_recordings

ROOM_SEEDS = [8100, 8101]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    cache = tmp_path_factory.mktemp("rooms")
    return make_rooms(ROOM_SEEDS, width=160, height=120, frames=12, cache=cache, workers=1)


@pytest.mark.parametrize("room", [0, 1])
def test_a_healthy_room_is_fine(rooms: list[Path], room: int) -> None:
    result = check(rooms[room])
    assert problems(result) == []
    assert warnings(result) == ["frames-few"]  # twelve
    assert result.readings["as-stored"] < 0.5
    assert result.figures["depth_factor"] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("room", [0, 1])
@pytest.mark.parametrize("name", MAIN_FAULTS)
def test_the_main_faults_are_found_and_named(rooms: list[Path], tmp_path: Path, name: str, room: int) -> None:
    fault, code = MAIN_FAULTS[name]
    result = check(broken(rooms[room], tmp_path / "room", fault), label_ids="nyu40")
    assert problems(result) == [code], [finding.evidence for finding in result.findings]


@pytest.mark.parametrize("name", FURTHER_FAULTS)
def test_further_faults_are_found_and_named(rooms: list[Path], tmp_path: Path, name: str) -> None:
    fault, code = FURTHER_FAULTS[name]
    result = check(broken(rooms[1], tmp_path / "room", fault), label_ids="nyu40")
    assert problems(result) == [code], [finding.evidence for finding in result.findings]


@pytest.mark.parametrize("name", ["camera_from_world", "OpenGL", "K of 324x243", "focal of 320x240"])
def test_poses_and_intrinsics_are_judged_without_depth(rooms: list[Path], tmp_path: Path, name: str) -> None:
    fault, code = (MAIN_FAULTS | FURTHER_FAULTS)[name]
    folder = broken(rooms[0], tmp_path / "room", fault)
    shutil.rmtree(folder / "depth")
    assert problems(check(folder)) == [code]


def test_two_faults_at_once_are_both_named(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", MAIN_FAULTS["camera_from_world"][0])
    MAIN_FAULTS["K of 324x243"][0](folder)
    MAIN_FAULTS["5000 a meter"][0](folder)
    assert problems(check(folder)) == ["poses-inverted", "intrinsics-resolution", "depth-unit"]


def test_findings_say_what_to_do(rooms: list[Path], tmp_path: Path) -> None:
    (finding,) = [f for f in check(broken(rooms[0], tmp_path / "room", MAIN_FAULTS["5000 a meter"][0])).findings
                  if f.severity == "problem"]  # fmt: skip
    assert "5000 a meter" in finding.cause
    assert finding.figures["factor"] == pytest.approx(0.2, rel=0.05)
    assert finding.figures["reprojection_with_factor_px"] < 1 < finding.figures["reprojection_px"]
    assert "by 0.2 " in finding.remedy


@pytest.mark.parametrize(("axes", "codes"), [(np.diag([1.0, -1.0, -1.0, 1.0]), []), (np.eye(4), ["poses-opengl"])])
def test_other_datasets_are_checked_through_their_readers(
    rooms: list[Path], tmp_path: Path, axes: Matrix, codes: list[str]
) -> None:
    """A room as a Blender scene; its poses with OpenGL's axes, as they should be there, and with OpenCV's."""
    intrinsics = np.loadtxt(rooms[0] / "intrinsic" / "intrinsic_color.txt")
    (tmp_path / "train").mkdir()
    frames = []
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"train/r_{number}.png"), cv2.imread(str(rooms[0] / "color" / f"{number}.jpg")))
        pose = np.loadtxt(rooms[0] / "pose" / f"{number}.txt") @ axes
        frames.append({"file_path": f"./train/r_{number}", "transform_matrix": pose.tolist()})
    record = {"camera_angle_x": 2 * math.atan(80 / intrinsics[0, 0]), "frames": frames}
    (tmp_path / "transforms_train.json").write_text(json.dumps(record))
    assert problems(check(tmp_path)) == codes


# Labels
def test_nyu40_ids_read_as_raw_ones_are_named(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", lambda folder: None)
    table = "\n".join(f"{raw}\t{nyu40}" for nyu40, raw in RAW_SCANNET.items())
    (folder / "scannetv2-labels.combined.tsv").write_text(f"id\tnyu40id\n{table}\n")
    result = check(folder, label_ids="scannet")
    assert "labels-other-space" in problems(result)
    change_labels(folder, RAW_SCANNET, np.uint16)
    assert problems(check(folder, label_ids="scannet")) == []


def test_raw_ids_without_their_table_are_refused_as_training_would(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", MAIN_FAULTS["raw ScanNet ids"][0])
    assert problems(check(folder)) == ["labels-refused", "labels-other-space"]


def test_labels_of_other_frames_disagree_between_views(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", lambda folder: None)
    pictures = [(folder / "label-filt" / f"{number}.png").read_bytes() for number in range(12)]
    for number, content in enumerate(pictures[6:] + pictures[:6]):
        (folder / "label-filt" / f"{number}.png").write_bytes(content)
    assert "labels-disagree" in problems(check(folder))


def test_cropped_labels_are_named(rooms: list[Path], tmp_path: Path) -> None:
    folder = broken(rooms[0], tmp_path / "room", lambda folder: None)
    for path in (folder / "label-filt").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:, 20:140])
    result = check(folder)
    assert "labels-misaligned" in problems(result)
    assert "120x120" in next(f.evidence for f in result.findings if f.code == "labels-misaligned")


# The command
def run(*arguments: str) -> int:
    try:
        main(["data", "check", *arguments])
    except SystemExit as stop:
        assert isinstance(stop.code, int), stop.code
        return stop.code
    return 0


def test_the_command_writes_page_and_record_and_says_so_by_its_status(
    rooms: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, record = tmp_path / "pages", tmp_path / "record.json"
    assert run(str(rooms[0]), "--report", str(report), "--json", str(record)) == 0
    assert "Fine" in capsys.readouterr().out
    healthy = json.loads(record.read_text())
    assert healthy["fine"] is True
    assert healthy["recordings"][0]["labels"]["classes"]["floor"] > 0

    wrong = broken(rooms[0], tmp_path / "wrong", MAIN_FAULTS["camera_from_world"][0])
    assert run(str(wrong), "--report", str(report), "--json", str(record), "--overwrite") == 1
    assert "poses-inverted" in capsys.readouterr().out
    (finding,) = [f for f in json.loads(record.read_text())["recordings"][0]["findings"] if f["severity"] == "problem"]
    assert finding["code"] == "poses-inverted"
    assert finding["figures"]["error_read_so_px"] < 0.5 < 2 < finding["figures"]["error_as_stored_px"]

    page = (report / "wrong.html").read_text()
    assert finding["evidence"] in page
    assert "http" not in page.replace("http-equiv", ""), "nothing is fetched from elsewhere"
    assert page.count("<img") == page.count('src="data:image/')
    assert page.count("<img") >= 4 + 2 + 4  # misses and checkerboards, plots, labels
    assert run(str(wrong), "--report", str(report)) == 1, "a former report is replaced"


def test_what_is_no_recording_is_a_finding_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "color").mkdir()
    assert run(str(tmp_path), "--report", str(tmp_path / "pages")) == 1
    assert "holds no N.jpg" in " ".join(capsys.readouterr().out.split())


def test_other_peoples_files_are_not_replaced(rooms: list[Path], tmp_path: Path) -> None:
    record, page = tmp_path / "record.json", tmp_path / f"{rooms[0].name}.html"
    record.write_text("mine")
    with pytest.raises(SystemExit, match="record.json exists"):
        main(["data", "check", str(rooms[0]), "--report", str(tmp_path), "--json", str(record)])
    page.write_text("mine")
    with pytest.raises(SystemExit, match="no report of sray data check"):
        main(["data", "check", str(rooms[0]), "--report", str(tmp_path)])
    assert record.read_text() == page.read_text() == "mine"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SrayError) as caught:
        open_recordings(tmp_path / "nowhere", "auto", "rooms", "auto")
    assert isinstance(caught.value, FileError)
    with pytest.raises(SystemExit, match="nowhere does not exist"):
        main(["data", "check", str(tmp_path / "nowhere")])


@pytest.mark.fault(
    "the stored focal length does not fit the pictures, by 12 %", code="none",
    says="sray data check: a problem, with the focal length that fits and what it is worth in pixels",
    recovery="calibrate, or multiply fx and fy by the printed factor",
)  # fmt: skip
@pytest.mark.parametrize("factor", [1.12, 1 / 1.12])
def test_a_focal_length_wrong_by_12_percent_is_found_and_the_right_one_named(
    rooms: list[Path], tmp_path: Path, factor: float
) -> None:
    folder = Path(shutil.copytree(rooms[0], tmp_path / "room"))
    change_intrinsics(folder, lambda k: k @ np.diag([factor, factor, 1.0]))
    result = check(folder)
    assert "intrinsics-do-not-fit" in problems(result), result.findings
    (finding,) = [finding for finding in result.findings if finding.code == "intrinsics-do-not-fit"]
    assert result.figures["fitted_focal_factor"] == pytest.approx(1 / factor, abs=0.03)
    assert result.figures["fitted_px"] < 0.8 * result.figures["fitted_stored_px"]
    assert f"% too {'large' if factor > 1 else 'small'}" in finding.cause
