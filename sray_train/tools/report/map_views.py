"""The map as a picture, from above or from a corner, with what RViz draws into it: path, keyframes, frustums.

Orthographic, painted from back to front. RGB uint8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.mapping.cloud import LabeledCloud
from sray_train.tools.report.pictures import PAPER, Picture

INK = (25, 28, 34)
CUT_BELOW_CAMERA = 0.2
"""Meters. What is higher, the upper walls and the ceiling, would hide the furniture."""
NEAR_WALL = 0.25
"""Meters from the map's nearer sides within which walls are cut away, seen from a corner."""
SKIRTING = 0.3
"""Meters above the floor that stay of such a wall."""
VOXEL = 0.056
"""Meters across that a point is drawn."""


@dataclass(frozen=True)
class Lines:
    """Straight lines in the map, such as RViz's LINE_LIST."""

    segments: NDArray[np.float32]
    """(lines, 2 ends, 3), meters."""
    color: tuple[int, int, int]
    width: int = 2


@dataclass(frozen=True)
class Look:
    """Where the map is looked at from."""

    elevation: float = 90.0
    """Degrees above the horizon; 90: straight down, and walls are left standing."""
    azimuth: float = 0.0
    """Degrees about the vertical, counter-clockwise."""


def map_view(
    cloud: LabeledCloud,
    colors: Picture,
    path: NDArray[np.float32],
    up: NDArray[np.float32],
    look: Look = Look(),
    lines: tuple[Lines, ...] = (),
    longest_side: int = 900,
    extent: NDArray[np.floating] | None = None,
) -> tuple[Picture, float]:
    """The map without what would hide the room, and the meters per pixel.

    `colors` (points, 3) paints the points. The camera's path (frames, 3) is drawn over it, its start as a ring.
    `extent` (points, 3): what the picture reaches around, so that two maps of one room have one scale; None: the map.
    """
    axes = _screen_axes(look, up)
    kept = _shown(cloud.points, path, up, look)
    if not kept.any():
        return np.full((120, 160, 3), 255, np.uint8), 1.0
    seen = cloud.points[kept] @ axes
    low, high = np.percentile((seen if extent is None else extent @ axes)[:, :2], (1, 99), axis=0)
    for drawn in (path, *(each.segments.reshape(-1, 3) for each in lines)):
        if len(drawn):
            flat = (drawn @ axes)[:, :2]
            low, high = np.minimum(low, flat.min(0)), np.maximum(high, flat.max(0))
    low, high = low - 0.2, high + 0.2
    scale = float((high - low).max()) / longest_side
    columns, rows = np.ceil((high - low) / scale).astype(int)

    def pixel(points: NDArray[np.floating]) -> NDArray[np.int32]:
        flat = ((points @ axes)[..., :2] - low) / scale
        placed: NDArray[np.int32] = np.stack([flat[..., 0], rows - flat[..., 1]], axis=-1).astype(np.int32)
        return placed

    picture = np.full((rows, columns, 3), 255, np.uint8)
    radius = max(2, round(VOXEL / 2 / scale))
    order = np.flatnonzero(kept)[np.argsort(seen[:, 2])]  # the nearest is painted last, and seen
    for index, (x, y) in zip(order, pixel(cloud.points[order]), strict=True):
        corner, opposite = (int(x) - radius, int(y) - radius), (int(x) + radius, int(y) + radius)
        cv2.rectangle(picture, corner, opposite, colors[index].tolist(), cv2.FILLED)
    for each in lines:
        for width, color in ((each.width + 2, PAPER), (each.width, each.color)):
            cv2.polylines(picture, list(pixel(each.segments)), False, color, width, cv2.LINE_AA)
    if len(path):
        _draw_path(picture, pixel(path))
    return picture, scale


def arrows(map_from_body: NDArray[np.floating], length: float = 0.2) -> NDArray[np.float32]:
    """Poses (n, 4, 4), x forward, as line segments (3 n, 2, 3): a shaft and two barbs, as RViz's arrows point."""
    tip = np.array([length, 0, 0, 1])
    ends = [(np.array([0, 0, 0, 1]), tip)]
    ends += [(tip, np.array([0.65 * length, side * 0.25 * length, 0, 1])) for side in (-1, 1)]
    segments = [[(map_from_body @ point)[:, :3] for point in pair] for pair in ends]
    together: NDArray[np.float32] = np.array(segments, np.float32).transpose(2, 0, 1, 3).reshape(-1, 2, 3)
    return together


def _draw_path(picture: Picture, walked: NDArray[np.int32]) -> None:
    line = walked.reshape(-1, 1, 2)
    for color, width in ((PAPER, 5), (INK, 2)):
        cv2.polylines(picture, [line], False, color, width, cv2.LINE_AA)
    start = (int(walked[0, 0]), int(walked[0, 1]))
    cv2.circle(picture, start, 11, PAPER, cv2.FILLED, cv2.LINE_AA)
    cv2.circle(picture, start, 8, INK, 3, cv2.LINE_AA)


def _shown(
    points: NDArray[np.float32], path: NDArray[np.float32], up: NDArray[np.float32], look: Look
) -> NDArray[np.bool_]:
    """Which points hide nothing that matters."""
    height = points @ up
    shown: NDArray[np.bool_] = height < (np.median(path @ up) - CUT_BELOW_CAMERA if len(path) else np.inf)
    if look.elevation >= 90 or not shown.any():
        return shown
    toward = _screen_axes(look, up)[:, 2]
    stands = height > np.percentile(height[shown], 1) + SKIRTING
    for axis in _ground_axes(up):
        along = points @ axis * (1 if toward @ axis > 0 else -1)
        if abs(toward @ axis) > 0.1:
            shown &= ~(stands & (along > np.percentile(along[shown], 99) - NEAR_WALL))
    return shown


def _screen_axes(look: Look, up: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns: right on the screen, up on the screen, toward the viewer."""
    right, forward = _ground_axes(up)
    turn, tilt = math.radians(look.azimuth), math.radians(look.elevation)
    across = math.cos(turn) * right + math.sin(turn) * forward
    away = math.cos(turn) * forward - math.sin(turn) * right
    along = math.sin(tilt) * away + math.cos(tilt) * up
    toward = math.sin(tilt) * up - math.cos(tilt) * away
    return np.stack([across, along, toward], axis=1).astype(np.float32)


def _ground_axes(up: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Right and forward on the ground, so that (right, forward, up) is right-handed: a plan, not its mirror image."""
    axis = int(np.abs(up).argmax())
    right = np.zeros(3, np.float32)
    right[(axis + 1) % 3] = 1
    return right, np.cross(up, right).astype(np.float32)
