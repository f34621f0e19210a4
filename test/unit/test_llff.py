"""Real Forward-facing: LLFF's axes, the sizes a scene comes in, bounds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_fixtures.color_only import write_llff
from dataset_fixtures.relief import View, pinhole
from dataset_fixtures.reprojection import assert_consistent

from sray_train.data.llff import LlffRecording

WIDTH, HEIGHT, FOCAL = 192, 144, 128.0
BOUNDS = [(1.5, 6.0), (1.25, 5.0), (2.0, 7.5), (1.75, 4.0)]


@pytest.fixture
def scene(tmp_path: Path) -> tuple[Path, list[View]]:
    return tmp_path / "fern", write_llff(tmp_path / "fern", WIDTH, HEIGHT, FOCAL, BOUNDS)


def test_frames_agree_by_pose_and_intrinsics(scene: tuple[Path, list[View]]) -> None:
    folder, truths = scene
    recording = LlffRecording.open(folder, width=48)
    frames = [recording[i] for i in range(len(recording))]
    assert_consistent(frames, truths, pinhole(48, 36, FOCAL / 4), color_only=True)
    assert all(frame.depth is None and frame.labels is None for frame in frames)


@pytest.mark.parametrize(("width", "read"), [(0, 192), (10, 48), (48, 48), (49, 192), (192, 192), (1000, 192)])
def test_the_size_that_suits(scene: tuple[Path, list[View]], width: int, read: int) -> None:
    recording = LlffRecording.open(scene[0], width)
    assert recording.size[0] == read
    assert recording.cameras.intrinsics[0, 0, 0] == FOCAL * read / WIDTH


def test_bounds_are_each_pictures_own_and_the_scenes(scene: tuple[Path, list[View]]) -> None:
    recording = LlffRecording.open(scene[0], 48)
    assert recording.bounds == (1.25, 7.5)


def test_a_row_by_hand(tmp_path: Path) -> None:
    """Axes down, right, backward: a camera upright at the origin, looking along minus z of a world whose y is up."""
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((3, 4, 3), np.uint8))
    down, right, backward = [0, -1, 0], [1, 0, 0], [0, 0, 1]
    matrix = np.array([down, right, backward, [0.5, 0.25, 0.125], [3, 4, 8]]).T
    np.save(tmp_path / "poses_bounds.npy", np.array([[*matrix.ravel(), 1, 9]]))
    camera = LlffRecording.open(tmp_path).cameras
    expected = [[1, 0, 0, 0.5], [0, -1, 0, 0.25], [0, 0, -1, 0.125], [0, 0, 0, 1]]
    assert camera.world_from_camera[0].tolist() == expected
    assert camera.intrinsics[0].tolist() == [[8, 0, 1.5], [0, 8, 1], [0, 0, 1]]


def test_a_photograph_is_not_turned_by_its_tag(scene: tuple[Path, list[View]]) -> None:
    """COLMAP's poses are of the pixels as stored, whatever the EXIF orientation says."""
    folder, _ = scene
    path = folder / "images" / "IMG_4026.JPG"
    jpeg = path.read_bytes()
    tag = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + jpeg[2:])
    assert cv2.imread(str(path)).shape[:2] == (WIDTH, HEIGHT), "the tag says: turned by 90 degrees"
    assert LlffRecording.open(folder)[0].image.shape == (HEIGHT, WIDTH, 3)
