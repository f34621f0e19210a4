"""The pose errors of benchmarks/pose_noise.py are of the size that it says, and reach the sources alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from scipy.spatial.transform import Rotation

from sray.camera import Camera
from sray_train.data.scene import Scene

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from pose_noise import ERRORS, Measure, first_half, late, shifted, turned, with_errors


def path(count: int = 6) -> np.ndarray:
    """0.1 m to the side and 3 degrees about the vertical from pose to pose."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = 0.1 * np.arange(count)
    poses[:, :3, :3] = Rotation.from_rotvec(np.arange(count)[:, None] * np.radians([0.0, 3.0, 0.0])).as_matrix()
    return poses


def off(poses: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Meters and degrees between poses."""
    turns = Rotation.from_matrix(poses[:, :3, :3]).inv() * Rotation.from_matrix(others[:, :3, :3])
    return np.linalg.norm(poses[:, :3, 3] - others[:, :3, 3], axis=1), np.degrees(turns.magnitude())


def test_noise_has_the_size_asked_for() -> None:
    meters, degrees = off(path(), shifted(path(), 4, np.random.default_rng(0)))
    np.testing.assert_allclose(meters, 0.04)
    np.testing.assert_allclose(degrees, 0, atol=1e-5)
    meters, degrees = off(path(), turned(path(), 2, np.random.default_rng(0)))
    np.testing.assert_allclose(meters, 0, atol=1e-12)
    np.testing.assert_allclose(degrees, 2, atol=1e-5)


def test_a_late_pose_lies_back_along_the_path() -> None:
    """0.1 m take 0.2 s at 0.5 m/s, longer than 3 degrees at 30 a second: 80 ms are 4 cm and 1.2 degrees."""
    meters, degrees = off(path(), late(path(), 80, np.random.default_rng(0)))
    np.testing.assert_allclose(meters[1:], 0.04, atol=1e-6)
    np.testing.assert_allclose(degrees[1:], 1.2, atol=1e-4)
    assert meters[0] == 0, "there is nothing before the first"


@pytest.mark.parametrize("kind", list(ERRORS))
def test_targets_keep_their_poses_and_level_0_changes_nothing(kind: str) -> None:
    plane = PlaneScene()
    frames = tuple(plane.frame((0.1 * index, 0.0, 0.0)) for index in range(4))
    scene = Scene("wall", frames, Camera.stack([frame.camera for frame in frames]))
    wrong, right = (with_errors(scene, kind, level, Measure()) for level in (40.0, 0.0))
    for index, frame in enumerate(frames):
        assert torch.equal(wrong.frames[index].camera.world_from_camera, frame.camera.world_from_camera)
        assert torch.allclose(right.frames[4 + index].camera.world_from_camera, frame.camera.world_from_camera)
        assert wrong.frames[4 + index].image is frame.image
    assert not torch.allclose(wrong.frames[7].camera.world_from_camera, frames[3].camera.world_from_camera)
    assert len(first_half(wrong).frames) == 4
