"""Paths between cameras: smooth in position, the shortest arc in rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, Slerp

from sray.camera import Camera

RATE = 10
"""Pictures a second of a path's video."""


def fly_between(stops: Sequence[Camera], seconds: float, rate: int = RATE) -> list[Camera]:
    """`rate` cameras a second, `seconds` from each stop to the next; the stops themselves are among them."""
    return interpolated(Camera.stack(stops), max(0, round(seconds * rate) - 1))


def interpolated(cameras: Camera, between: int) -> list[Camera]:
    """A batch of cameras with `between` more from each to the next, evenly in time.

    Positions follow a monotone cubic through the given ones (it never swings out beyond them, into a wall), rotations
    the shortest arc, intrinsics a monotone cubic too. The given cameras themselves are taken over exactly.
    """
    poses = cameras.world_from_camera.double().numpy()
    keys = np.arange(len(poses))
    if len(poses) < 2:
        return [cameras[index] for index in keys.tolist()]
    position = PchipInterpolator(keys, poses[:, :3, 3])
    rotation = Slerp(keys, Rotation.from_matrix(poses[:, :3, :3]))
    intrinsics = PchipInterpolator(keys, cameras.intrinsics.double().numpy())
    times = np.arange((len(poses) - 1) * (between + 1) + 1) / (between + 1)
    moved = np.tile(np.eye(4), (len(times), 1, 1))
    moved[:, :3, :3], moved[:, :3, 3] = rotation(times).as_matrix(), position(times)
    path = replace(
        cameras,
        intrinsics=torch.from_numpy(intrinsics(times)).float(),
        world_from_camera=torch.from_numpy(moved).float(),
    )
    return [cameras[int(time)] if time % 1 == 0 else path[index] for index, time in enumerate(times.tolist())]
