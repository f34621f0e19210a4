"""Replica in Semantic-NeRF's layout: orientation, the camera of 90 degrees, Replica's ids."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from dataset_fixtures.relief import NAMES, POSES, pinhole, render, views
from dataset_fixtures.replica import IDS, write_sequence
from dataset_fixtures.reprojection import assert_consistent

from sray.label_space import NYU40, REPLICA, ROOMS, VOID
from sray.sampling import ROOM_BOUNDS
from sray_train.data.replica import CLASSES, NYU40_OF_REPLICA, ReplicaRecording

WIDTH, HEIGHT = 64, 48
K = pinhole(WIDTH, HEIGHT, 32)
"""90 degrees: half the width."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sequence(tmp_path / "room_0" / "Sequence_1", views(K, WIDTH, HEIGHT))


def test_frames_agree_by_depth_pose_and_intrinsics(folder: Path) -> None:
    scene = ReplicaRecording.open(folder, REPLICA)
    assert_consistent([scene[i] for i in range(len(scene))], views(K, WIDTH, HEIGHT), K)
    assert scene.name == "room_0/Sequence_1"
    assert scene.bounds == ROOM_BOUNDS
    assert scene[2].name == "room_0/Sequence_1/2"


def test_the_camera_at_full_size(tmp_path: Path) -> None:
    """640 x 480 gives the K that Semantic-NeRF computes: focal length 320, (319.5, 239.5)."""
    view = render(pinhole(640, 480, 320), POSES[0], 640, 480)
    scene = ReplicaRecording.open(write_sequence(tmp_path / "room_0" / "Sequence_1", [view]), REPLICA)
    assert scene.cameras.intrinsics[0].tolist() == [[320, 0, 319.5], [0, 320, 239.5], [0, 0, 1]]


def test_ids_become_classes(folder: Path) -> None:
    truth = views(K, WIDTH, HEIGHT)[1]
    for space in (REPLICA, ROOMS):
        frame = ReplicaRecording.open(folder, space)[1]
        assert frame.labels is not None
        known = [space.names.index(name) if name in space.names else VOID for name in NAMES]
        assert np.array_equal(frame.labels.numpy(), np.array(known)[truth.classes])


def test_the_ids_that_others_score() -> None:
    """Replica's ids of things whose NYU40 class is plain, and that Replica has 101 classes and 0 for none."""
    names = [entry.rpartition(":")[0] for entry in CLASSES.split()]
    assert len(names) == 102
    assert names[0] == "undefined"
    assert names[101] == "set-of-clothing"
    nyu40 = {name: NYU40.names[NYU40_OF_REPLICA[number] - 1] for name, number in IDS.items()}
    assert nyu40 == {name: name for name in IDS}
    assert NYU40_OF_REPLICA[[0, 102, 255]].tolist() == [0, 0, 0]
    assert NYU40_OF_REPLICA[[7, 20, 76, 34]].tolist() == [4, 5, 6, 14], "bed, chair, sofa, desk"


def test_frames_are_ordered_by_number(tmp_path: Path) -> None:
    """rgb_10 comes after rgb_9, with row 10 of the trajectory."""
    twelve = [views(K, WIDTH, HEIGHT)[number % 4] for number in range(12)]
    scene = ReplicaRecording.open(write_sequence(tmp_path / "room_0" / "Sequence_1", twelve), REPLICA)
    assert scene.numbers == tuple(range(12))
    np.testing.assert_allclose(scene.cameras.world_from_camera[10], twelve[10].pose, atol=1e-6)


def test_frames_without_a_pose_are_skipped_and_counted(folder: Path) -> None:
    rows = (folder / "traj_w_c.txt").read_text().splitlines()
    rows[1] = " ".join(["nan"] * 16)
    (folder / "traj_w_c.txt").write_text("\n".join(rows[:3]) + "\n")
    scene = ReplicaRecording.open(folder, REPLICA)
    assert scene.numbers == (0, 2)
    assert scene.skipped == {"pose is not finite": [1], "no row in traj_w_c.txt": [3]}
    np.testing.assert_allclose(scene[1].camera.world_from_camera, views(K, WIDTH, HEIGHT)[2].pose, atol=1e-6)


def test_depth_and_labels_are_optional(folder: Path) -> None:
    for name in ("depth", "semantic_class"):
        (folder / name).rename(folder / f"no_{name}")
    frame = ReplicaRecording.open(folder, REPLICA)[0]
    assert frame.depth is None
    assert frame.labels is None


def test_no_depth_is_nan(folder: Path) -> None:
    raw = cv2.imread(str(folder / "depth" / "depth_0.png"), cv2.IMREAD_UNCHANGED)
    raw[0, 0] = 0
    cv2.imwrite(str(folder / "depth" / "depth_0.png"), raw)
    depth = ReplicaRecording.open(folder, REPLICA)[0].depth
    assert depth is not None
    assert torch.isnan(depth[0, 0])
    assert torch.isnan(depth).sum() == 1
