"""Realistic Synthetic 360: Blender's axes and angle, white where nothing is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_fixtures.color_only import write_blender
from dataset_fixtures.relief import pinhole, views
from dataset_fixtures.reprojection import assert_consistent

from sray_train.data.transforms import open_blender

WIDTH, HEIGHT = 48, 48
K = pinhole(WIDTH, HEIGHT, 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_blender(tmp_path / "lego", views(K, WIDTH, HEIGHT), 40)
    return write_blender(tmp_path / "lego", views(K, WIDTH, HEIGHT)[2:], 40, "test")


def test_frames_agree_by_pose_and_intrinsics(folder: Path) -> None:
    scene = open_blender(folder)
    assert_consistent([scene[i] for i in range(len(scene))], views(K, WIDTH, HEIGHT), K, color_only=True)
    assert all(scene[i].depth is None and scene[i].labels is None for i in range(len(scene)))
    assert scene.bounds == (2.0, 6.0)


def test_the_angle_spans_the_picture() -> None:
    """The published scenes: camera_angle_x 0.6911112070083618 at 800 pixels is a focal length of 1111.1."""
    assert 800 / 2 / math.tan(0.6911112070083618 / 2) == pytest.approx(1111.111, abs=1e-3)


def test_the_published_camera(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    cv2.imwrite(str(tmp_path / "train" / "r_0.png"), np.zeros((800, 800, 4), np.uint8))
    frame = {"file_path": "./train/r_0", "rotation": 0.01, "transform_matrix": np.eye(4).tolist()}
    record = {"camera_angle_x": 0.6911112070083618, "frames": [frame]}
    (tmp_path / "transforms_train.json").write_text(json.dumps(record))
    camera = open_blender(tmp_path).cameras
    np.testing.assert_allclose(
        camera.intrinsics[0], [[1111.1111, 0, 399.5], [0, 1111.1111, 399.5], [0, 0, 1]], rtol=1e-6
    )
    assert camera.forward[0].tolist() == [0, 0, -1], "Blender's cameras look along minus z"


def test_parts(folder: Path) -> None:
    test = open_blender(folder, "test")
    assert (len(open_blender(folder)), len(test)) == (4, 2)
    assert test.name == "lego/test"
    np.testing.assert_allclose(test.cameras.world_from_camera[0], views(K, WIDTH, HEIGHT)[2].pose, atol=1e-6)


def test_what_is_transparent_is_white(folder: Path) -> None:
    """Straight alpha: half of red over white is (255, 128, 128); BGRA on disk."""
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[:, :, 2] = 255
    picture[:, 0, 3], picture[:, 1, 3], picture[:, 2, 3] = 255, 128, 0
    cv2.imwrite(str(folder / "train" / "r_0.png"), picture)
    assert open_blender(folder)[0].image[5, :3].tolist() == [[255, 0, 0], [255, 127, 127], [255, 255, 255]]


def test_pictures_without_alpha_are_taken_as_they_are(folder: Path) -> None:
    cv2.imwrite(str(folder / "train" / "r_0.png"), np.full((HEIGHT, WIDTH, 3), (30, 20, 10), np.uint8))
    assert open_blender(folder)[0].image[0, 0].tolist() == [10, 20, 30]
