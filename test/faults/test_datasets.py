"""Damaged, foreign and incomplete datasets: the file is named, what was expected is said, and the repair is enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_fixtures.color_only import write_blender, write_llff
from dataset_fixtures.refusals import read_all, refused, resized_picture
from dataset_fixtures.relief import pinhole, views
from dataset_fixtures.replica import write_sequence

from sray.label_space import NYU40
from sray_train.data.llff import LlffRecording
from sray_train.data.replica import ReplicaRecording
from sray_train.data.transforms import open_blender

SIZE = (24, 18)
K = pinhole(*SIZE, 16)
VIEWS = views(K, *SIZE)[:3]


# Replica


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    return write_sequence(tmp_path / "room_0" / "Sequence_1", VIEWS)


@pytest.mark.parametrize("name", ["rgb/rgb_1.png", "depth/depth_1.png", "semantic_class/semantic_class_1.png"])
@pytest.mark.parametrize("content", [None, b"", b"\x00garbage"], ids=["missing", "empty", "garbage"])
def test_a_damaged_picture_of_replica_is_named(replica: Path, name: str, content: bytes | None) -> None:
    recording = ReplicaRecording.open(replica, NYU40)
    (replica / name).unlink()
    if content is not None:
        (replica / name).write_bytes(content)
    recording[0]
    refused(lambda: recording[1], name)


def test_a_picture_of_replica_of_another_size_is_named(replica: Path) -> None:
    resized_picture(replica / "rgb" / "rgb_1.png")
    refused(lambda: ReplicaRecording.open(replica, NYU40)[1], "rgb_1.png", "32x24", "24x18")


@pytest.mark.parametrize("kind", ["depth", "semantic_class"])
def test_the_wrong_kind_of_picture_is_named(replica: Path, kind: str) -> None:
    """The colored pictures that lie beside, or depth in 8 bits."""
    path = replica / kind / f"{kind}_1.png"
    path.write_bytes((replica / "semantic_class" / "vis_sem_class_1.png").read_bytes())
    refused(lambda: ReplicaRecording.open(replica, NYU40)[1], path.name)


@pytest.mark.parametrize("text", ["", "1 2 3\n", "a b c d\n", "1 0 0 0 0\n"], ids=["empty", "row", "words", "five"])
def test_a_trajectory_that_is_none_is_named(replica: Path, text: str) -> None:
    (replica / "traj_w_c.txt").write_text(text)
    refused(lambda: ReplicaRecording.open(replica, NYU40), "traj_w_c.txt", "16 numbers")


def test_a_missing_trajectory_or_pictures_are_named(replica: Path) -> None:
    (replica / "traj_w_c.txt").unlink()
    refused(lambda: ReplicaRecording.open(replica, NYU40), "traj_w_c.txt")
    refused(lambda: ReplicaRecording.open(replica.parent, NYU40), "rgb_N.png")


# Realistic Synthetic 360


@pytest.fixture
def lego(tmp_path: Path) -> Path:
    return write_blender(tmp_path / "lego", VIEWS, 16)


def changed(path: Path, change: Callable[[dict], object]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("camera_angle_x"), "camera_angle_x None"),
        (lambda r: r.update(camera_angle_x=40), "camera_angle_x 40"),
        (lambda r: r.update(camera_angle_x="0.7"), "camera_angle_x '0.7'"),
        (lambda r: r.pop("frames"), "no list of frames"),
        (lambda r: r.update(frames=[]), "no usable frame"),
        (lambda r: r["frames"][1].pop("transform_matrix"), "frame 1"),
        (lambda r: r["frames"][1].update(transform_matrix=[[1, 2], [3, 4]]), "frame 1"),
        (lambda r: r["frames"][1].pop("file_path"), "file_path None in frame 1"),
        (lambda r: r["frames"].__setitem__(1, 7), "frame 1"),
    ],
)
def test_transforms_that_are_none_are_named(lego: Path, change: Callable[[dict], object], said: str) -> None:
    changed(lego / "transforms_train.json", change)
    refused(lambda: open_blender(lego), "transforms_train.json", said)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_file_that_is_no_scene_is_named(lego: Path, text: str) -> None:
    (lego / "transforms_train.json").write_text(text)
    refused(lambda: open_blender(lego), "transforms_train.json")


@pytest.mark.parametrize("factors", [(2, 2, 2, 1), (-1, 1, 1, 1), (0, 0, 0, 1)], ids=["scaled", "mirrored", "empty"])
def test_a_pose_that_is_no_motion_is_skipped_and_counted(lego: Path, factors: tuple[int, ...]) -> None:
    pose = (np.diag(factors) @ VIEWS[1].pose).tolist()
    changed(lego / "transforms_train.json", lambda r: r["frames"][1].update(transform_matrix=pose))
    assert open_blender(lego).skipped == {"pose is no rotation and translation": [1]}


def test_a_missing_or_larger_picture_of_a_scene_is_named(lego: Path) -> None:
    resized_picture(lego / "train" / "r_1.png")
    refused(lambda: open_blender(lego)[1], "r_1.png", "32x24", "24x18")
    (lego / "train" / "r_1.png").unlink()
    refused(lambda: open_blender(lego)[1], "r_1.png", "missing")
    cv2.imwrite(str(lego / "train" / "r_1.png"), np.zeros((18, 24), np.uint8))
    refused(lambda: open_blender(lego)[1], "r_1.png", "8-bit color")


# Real Forward-facing


@pytest.fixture
def fern(tmp_path: Path) -> Path:
    write_llff(tmp_path / "fern", 96, 72, 64, [(1, 6)] * 4)
    return tmp_path / "fern"


def test_poses_and_pictures_of_different_number_are_named(fern: Path) -> None:
    (fern / "images_4" / "image001.png").unlink()
    refused(lambda: LlffRecording.open(fern, 24), "poses_bounds.npy", "4 poses for 3 pictures in images_4/")
    read_all(LlffRecording.open(fern, 96))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:, :14], "shape (4, 14)"),
        (lambda rows: rows[0], "shape (17,)"),
        (lambda rows: np.concatenate([rows[:, :15], rows[:, 16:], rows[:, 15:16]], 1), "near and far"),
        (lambda rows: rows * ([1] * 15 + [0, 1]), "near and far"),
        (lambda rows: rows * ([1] * 14 + [0, 1, 1]), "focal length"),
    ],
    ids=["columns", "one row", "swapped bounds", "near of 0", "focal length of 0"],
)
def test_poses_that_are_none_are_named(fern: Path, change: Callable[[np.ndarray], np.ndarray], said: str) -> None:
    np.save(fern / "poses_bounds.npy", change(np.load(fern / "poses_bounds.npy")))
    refused(lambda: LlffRecording.open(fern), "poses_bounds.npy", said)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"text"], ids=["empty", "cut", "text"])
def test_a_damaged_array_is_named(fern: Path, content: bytes) -> None:
    (fern / "poses_bounds.npy").write_bytes(content)
    refused(lambda: LlffRecording.open(fern), "poses_bounds.npy")


def test_a_pickle_is_not_opened(fern: Path) -> None:
    np.save(fern / "poses_bounds.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(lambda: LlffRecording.open(fern), "poses_bounds.npy")


def test_photographs_of_differing_size_or_none_are_named(fern: Path) -> None:
    resized_picture(fern / "images_4" / "image001.png")
    refused(lambda: LlffRecording.open(fern, 24)[1], "image001.png", "32x24", "24x18")
    for folder in ("images", "images_4"):
        (fern / folder).rename(fern / f"no_{folder}")
    refused(lambda: LlffRecording.open(fern), "images_4")
