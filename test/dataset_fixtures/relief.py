"""A room with a block in it, ray-cast in closed form: left, right, up and down differ, and depth has edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROOM = np.array([[-2.0, 2.0], [-1.5, 1.5], [-3.0, 3.0]])
BLOCK = np.array([[-0.9, -0.1], [0.2, 1.5], [0.4, 1.2]])
NAMES = ("wall", "window", "ceiling", "floor", "blinds", "door", "picture", "table")
"""The classes, by what is seen: left, right, up (y = -1.5), down, behind, ahead left, ahead right, block."""


@dataclass(frozen=True)
class View:
    """What one camera sees. Axes x right, y down, z forward; pixel (0, 0) is the center of the top left pixel."""

    pose: np.ndarray
    """World from camera, 4x4."""
    rgb: np.ndarray
    depth: np.ndarray
    """Camera z in meters."""
    classes: np.ndarray
    """Indices of NAMES."""


def pinhole(width: int, height: int, focal: float) -> np.ndarray:
    """K with the principal point in the picture's middle."""
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])


def pose(position, yaw: float, pitch: float, roll: float) -> np.ndarray:
    """World from camera of a camera that looks along z, turned by degrees: rolled, then pitched, then yawed."""
    y, p, r = np.radians([yaw, pitch, roll])
    turned = (
        np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
        @ np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
        @ np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    )
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turned, position
    return matrix


POSES = [
    pose((0.1, 0.0, -1.9), 0, 0, 0),
    pose((-0.3, 0.2, -1.7), 9, 3, 6),
    pose((0.5, -0.2, -1.8), -10, -4, -9),
    pose((0.2, 0.3, -1.4), -4, 8, 4),
]


def render(
    intrinsics: np.ndarray, world_from_camera: np.ndarray, width: int, height: int, rays: np.ndarray | None = None
) -> View:
    """One ray through each pixel's center; `rays` (height, width, 3), z = 1, of a camera with a lens."""
    columns, rows = np.meshgrid(np.arange(width, dtype=float), np.arange(height, dtype=float))
    if rays is None:
        rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(intrinsics).T
    rays = rays @ world_from_camera[:3, :3].T
    start = world_from_camera[:3, 3]
    with np.errstate(divide="ignore"):
        to_room = (ROOM.T[:, None, None] - start) / rays
        to_block = (BLOCK.T[:, None, None] - start) / rays
    out = to_room.max(0).min(-1)  # leaves the room at the first face it reaches
    axis = to_room.max(0).argmin(-1)
    enter, leave = to_block.min(0).max(-1), to_block.max(0).min(-1)
    hit = (enter > 0) & (enter < leave)
    depth = np.where(hit, enter, out)
    points = start + rays * depth[..., None]
    x, y, z = np.moveaxis(points, -1, 0)
    beyond = np.stack([x > 0, y > 0, z > 0], -1)
    side = np.take_along_axis(beyond, axis[..., None], -1)[..., 0]
    wall = np.array([[0, 1], [2, 3], [4, 5]])[axis, side.astype(int)]
    wall = np.where((wall == 5) & (x > 0.2), 6, wall)
    # Slow waves: neighboring points look alike, distant ones do not.
    color = [np.sin(1.3 * x + 0.4 * y + 0.3), np.sin(1.5 * y - 0.5 * z - 0.2), np.sin(1.1 * z + 0.6 * x + 0.5)]
    rgb = (127.5 + 110 * np.stack(color, -1)).round().astype(np.uint8)
    return View(world_from_camera, rgb, depth, np.where(hit, 7, wall))


def views(intrinsics: np.ndarray, width: int, height: int) -> list[View]:
    """The room from POSES."""
    return [render(intrinsics, each, width, height) for each in POSES]
