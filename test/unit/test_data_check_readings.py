"""The ways in which `sray data check` reads poses, intrinsics and depth, and how pixels transfer between views."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from data_check_fixtures import Matrix

from sray_train.tools.data_check.depth_checks import blame
from sray_train.tools.data_check.readings import POSE_READINGS, intrinsics_readings
from sray_train.tools.data_check.transfer import Transfer


def test_transfer_by_depth_is_the_cameras_own_projection(plane_scene) -> None:
    first = plane_scene.camera((0.1, 0.0, 0.0), 5.0)
    second = plane_scene.camera((-0.2, 0.1, 0.3), -8.0)
    pixels, depth = np.array([[3.0, 4.0], [40.0, 30.0], [24.0, 10.0]]), np.array([1.0, 2.5, 4.0])
    relative = torch.linalg.inv(second.world_from_camera.double()) @ first.world_from_camera.double()
    transfer = Transfer.between(
        pixels, first.intrinsics.double().numpy(), second.intrinsics.double().numpy(), relative.numpy()
    )
    rays = first.ray_directions(torch.from_numpy(pixels).float())
    points = first.center + torch.from_numpy(depth).float()[:, None] * rays
    np.testing.assert_allclose(transfer.pixels(depth), second.project(points).pixels.numpy(), atol=1e-4)
    distance, found = transfer.best(transfer.pixels(depth))
    np.testing.assert_allclose(distance, 0, atol=1e-9)
    np.testing.assert_allclose(found, depth, rtol=1e-9)


@pytest.mark.parametrize("translation", [(0.3, 0.1, 0.0), (0.1, 0.0, 0.5), (0.0, 0.05, -0.4), (0.0, 0.0, 0.0)])
def test_the_best_depth_is_the_best_of_all_positive_ones(translation: tuple[float, float, float]) -> None:
    intrinsics = np.array([[150.0, 0, 80], [0, 150, 60], [0, 0, 1]])
    generator = np.random.default_rng(1)
    pixels, seen = generator.uniform(0, 120, (40, 2)), generator.uniform(0, 120, (40, 2))
    relative = np.eye(4)
    relative[:3, :3] = cv2.Rodrigues(np.array([0.02, -0.1, 0.03]))[0]
    relative[:3, 3] = translation
    distance, _ = Transfer.between(pixels, intrinsics, intrinsics, relative).best(seen)
    expected = np.full(40, np.inf)
    for depth in np.geomspace(1e-4, 1e5, 40_000):
        points = np.c_[pixels, np.ones(40)] @ np.linalg.inv(intrinsics).T * depth
        there = points @ relative[:3, :3].T + relative[:3, 3]
        landing = there @ intrinsics.T
        miss = np.linalg.norm(landing[:, :2] / landing[:, 2:] - seen, axis=1)
        expected = np.minimum(expected, np.where(there[:, 2] > 0, miss, np.inf))
    # The grid of depths is finer than a hundredth of a pixel, but near the camera.
    np.testing.assert_allclose(distance, expected, atol=0.05)


def test_every_reading_gives_back_the_true_pose() -> None:
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.3, -0.8, 0.2]))[0]
    pose[:3, 3] = 1.0, -2.0, 0.5
    rotation, center = pose[:3, :3], pose[:3, 3]
    right, down, forward = rotation.T

    def stored(columns: list[Matrix], position: Matrix) -> Matrix:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = np.stack(columns, axis=1), position
        return matrix

    inverse = stored(list(rotation), -rotation.T @ center)
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    mirrored = np.diag([1.0, -1.0, 1.0, 1.0]) @ pose @ np.diag([1.0, -1.0, 1.0, 1.0])
    held = {
        "as-stored": pose,
        "poses-inverted": inverse,
        "poses-opengl": stored([right, -down, -forward], center),
        "poses-inverted-opengl": flip @ inverse,
        "poses-body-axes": stored([forward, -right, -down], center),
        "poses-llff-axes": stored([down, right, -forward], center),
        "poses-left-handed": mirrored,
        "poses-rotation-transposed": stored(list(rotation), center),
        "poses-translation-inverted": stored([right, down, forward], -rotation.T @ center),
    }
    assert [reading.code for reading in POSE_READINGS] == list(held)
    for reading in POSE_READINGS:
        np.testing.assert_allclose(reading.convert(held[reading.code]), pose, atol=1e-12, err_msg=reading.code)


def test_a_foreign_k_is_scaled_back_to_the_pictures(plane_scene) -> None:
    camera = plane_scene.camera((0, 0, 0))
    large = camera.resized(2 * camera.width, 2 * camera.height)
    reading = intrinsics_readings(replace(large, width=camera.width, height=camera.height))[1]
    assert reading.code == "intrinsics-resolution"
    assert "96x72" in reading.means
    restored = reading.convert(large.intrinsics.double().numpy())
    np.testing.assert_allclose(restored, camera.intrinsics.numpy(), atol=1e-4)
    assert {each.code for each in intrinsics_readings(camera)} == {"as-stored", "intrinsics-focal"}


@pytest.mark.parametrize(
    ("factor", "median", "at_fault", "named"),
    [
        (0.2, 12.0, "depth", "5000 a meter"),
        (0.2, 7.0, "depth", "5000 a meter"),
        (0.1, 25.0, "depth", "1/10 mm"),
        (1000.0, 0.0025, "depth", "meters"),
        (1000.0, 2.5, "poses", "millimeters"),
        (100.0, 2.5, "poses", "centimeters"),
        (0.37, 2.5, "poses", "structure from motion"),
        (0.5, 14.0, "depth", "another unit"),
    ],
)
def test_units_are_blamed_by_what_a_room_can_have(factor: float, median: float, at_fault: str, named: str) -> None:
    verdict = blame(factor, median)
    assert verdict.at_fault == at_fault
    assert named in verdict.cause
