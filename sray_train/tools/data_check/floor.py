"""Finds which label id is the floor, by geometry: its points lie in one plane below the cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sray_train.tools.data_check.camera_checks import Geometry
from sray_train.tools.data_check.transfer import points_of

Array = NDArray[np.float64]

PIXELS = 1500
"""Looked at in each frame."""
POINTS, FEWEST = 3000, 100
"""Of an id: looked at, and needed to say something about it."""
THICKNESS = 0.06
"""Meters: points so near a plane belong to it (depth noise, rugs)."""
TRIES = 150
TILT = np.cos(np.radians(45))
"""Cameras look down a little, so their mean up is only so near the floor's normal."""


@dataclass(frozen=True)
class LabeledPoints:
    """Points of the scene with the ids of their pixels, as stored in the label files."""

    points: Array
    """(points, 3), meters."""
    ids: NDArray[np.int64]
    """(points,)."""


def labeled_points(geometry: Geometry, ids: dict[int, NDArray[Any]]) -> LabeledPoints:
    """Of evenly chosen pixels with depth. `ids`: position -> ids (height, width) as stored."""
    points, labels = [np.zeros((0, 3))], [np.zeros(0, np.int64)]
    for position, picture in ids.items():
        frame = geometry.frame(position)
        if frame is None or frame.depth is None:
            continue
        depth = frame.depth.numpy()
        rows, columns = np.nonzero(np.isfinite(depth))
        if not len(rows):
            continue
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), PIXELS)).round().astype(int)
        pixels = np.stack([columns[chosen], rows[chosen]], axis=1)
        points.append(points_of(frame, pixels, depth[rows[chosen], columns[chosen]].astype(np.float64)))
        labels.append(_ids_at(picture, pixels.astype(np.float64), depth.shape))
    return LabeledPoints(np.concatenate(points), np.concatenate(labels))


def floor_likeness(geometry: Geometry, scene: LabeledPoints, candidates: list[int]) -> dict[int, float]:
    """Share of each candidate id's points that lie in one plane below the cameras; ids with too few are left out.

    Cameras are held upright on average, which says where up is; the poses must fit.
    """
    poses = np.stack([geometry.poses.convert(geometry.sample.poses[i]) for i in geometry.sample.frames])
    up = -poses[:, :3, 1].mean(0)
    if np.linalg.norm(up) < 0.5:  # the cameras look every way
        return {}
    up /= np.linalg.norm(up)
    center = np.median(poses[:, :3, 3], axis=0)
    likeness = {}
    for candidate in candidates:
        points = scene.points[scene.ids == candidate]
        if len(points) >= FEWEST:
            points = points[np.linspace(0, len(points) - 1, min(len(points), POINTS)).round().astype(int)]
            likeness[candidate] = _plane_share(points - center, up)
    return likeness


def _plane_share(points: Array, up: Array) -> float:
    """The largest share of points (points, 3), relative to the cameras, in a plane 0.3 m or more below, facing up."""
    generator = np.random.default_rng(0)
    best = 0.0
    for _ in range(TRIES):
        a, b, c = points[generator.choice(len(points), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        if (length := np.linalg.norm(normal)) < 1e-6:
            continue
        normal /= length if normal @ up > 0 else -length
        if normal @ up > TILT and a @ normal < -0.3:
            best = max(best, float((np.abs((points - a) @ normal) < THICKNESS).mean()))
    return best


def _ids_at(picture: NDArray[Any], pixels: Array, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Ids (pixels,) of a label picture at pixels (pixels, 2) of a frame (height, width), nearest."""
    scale = np.array([picture.shape[1] / shape[1], picture.shape[0] / shape[0]])
    places = ((pixels + 0.5) * scale).astype(np.int64).clip(0, [picture.shape[1] - 1, picture.shape[0] - 1])
    return np.asarray(picture[places[:, 1], places[:, 0]], np.int64)
