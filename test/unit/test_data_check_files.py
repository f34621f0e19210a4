"""`sray data check`: broken files, pictures of nothing, and what is judged even if no pictures match."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from data_check_fixtures import change_depth, change_intrinsics, check, problems, resized_intrinsics, warnings

from sray.sequence_writer import SequenceWriter


@pytest.fixture
def recording(tmp_path: Path, plane_scene) -> Path:
    """Small and with little texture, for what needs no matching."""
    writer = SequenceWriter(tmp_path / "recording")
    for number, frame in enumerate(plane_scene.ring(12)):
        writer.add(number, frame)
    return tmp_path / "recording"


def test_broken_files_are_counted_and_stop_nothing(recording: Path) -> None:
    (recording / "color" / "1.jpg").write_bytes((recording / "color" / "1.jpg").read_bytes()[:-40])
    (recording / "depth" / "2.png").unlink()
    (recording / "pose" / "3.txt").write_text("1 0 0 0")
    cv2.imwrite(str(recording / "color" / "4.jpg"), np.full((30, 40, 3), 90, np.uint8))
    (recording / "pose" / "5.txt").write_text("\n".join(["inf inf inf inf"] * 4))
    result = check(recording)
    found = {finding.code: finding for finding in result.findings}
    assert found["files-cut-short"].figures["frames"] == [1]
    assert found["files-missing"].figures["frames"] == [2]
    assert found["files-missing"].severity == "warning", "the frame has no depth, and is used for what it has"
    assert found["poses-damaged"].figures["files"] == ["3.txt"]
    assert found["pictures-sizes-differ"].figures["frames"] == [4]
    assert found["frames-unreadable"].figures["frames"] == [1, 4]
    assert found["frames-skipped"].figures["pose is not finite"] == [5]
    assert result.figures["frames"] == 10
    assert result.labels is not None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda image: np.zeros_like(image), "pictures-dark"),
        (lambda image: np.full_like(image, 120), "pictures-blank"),
        (lambda image: np.where(np.arange(image.shape[1])[:, None] < 40, 255, image), "pictures-overexposed"),
    ],
)
def test_pictures_of_nothing_are_named(recording: Path, change: Callable, code: str) -> None:
    assert code not in [finding.code for finding in check(recording).findings]
    for number in (2, 5, 9):
        path = recording / "color" / f"{number}.jpg"
        cv2.imwrite(str(path), change(cv2.imread(str(path))).astype(np.uint8))
    finding = next(finding for finding in check(recording).findings if finding.code == code)
    assert finding.figures["frames"] == [2, 5, 9]
    assert finding.severity == "problem"  # a quarter of the frames


def test_depth_that_is_one_value_is_named(recording: Path) -> None:
    change_depth(recording, lambda raw: np.full_like(raw, 1500))
    assert "depth-constant" in problems(check(recording))


def without_texture(folder: Path) -> None:
    for path in (folder / "color").glob("*.jpg"):
        cv2.imwrite(str(path), np.full((36, 48, 3), 120, np.uint8))


def test_depth_out_of_range_is_named_even_if_nothing_matches(recording: Path) -> None:
    without_texture(recording)
    change_depth(recording, lambda raw: 10 * raw)
    result = check(recording)
    assert result.readings == {}
    assert "geometry-not-judged" in warnings(result)
    assert "depth-unit" in problems(result)


def test_a_principal_point_far_off_is_named_even_if_nothing_matches(recording: Path) -> None:
    without_texture(recording)
    assert "intrinsics-resolution" not in problems(check(recording))
    change_intrinsics(recording, resized_intrinsics(2))
    assert "intrinsics-resolution" in problems(check(recording))


def test_repeated_pictures_are_named(recording: Path) -> None:
    for number in (4, 5):
        shutil.copy(recording / "color" / "3.jpg", recording / "color" / f"{number}.jpg")
    finding = next(finding for finding in check(recording).findings if finding.code == "pictures-repeated")
    assert finding.figures["frames"] == [4, 5]
