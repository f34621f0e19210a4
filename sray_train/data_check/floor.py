"""Which id is the floor, by geometry: one plane below the cameras. A test of label ids that trusts no name."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sray_train.data_check.camera_checks import Geometry
from sray_train.data_check.dense import points_of

Array = NDArray[np.float64]

THICKNESS = 0.06
"""Metres: points this near a plane belong to it (depth noise, rugs)."""
POINTS = 3000
TRIES = 150
TILT = np.cos(np.radians(45))
"""Cameras look down a little, so their mean up is only so near the floor's normal."""


def floor_likeness(geometry: Geometry, ids: dict[int, NDArray[Any]], candidates: list[int]) -> dict[int, float]:
    """Share of each candidate id's points that lie in one plane below the cameras.

    `ids`: position -> ids (height, width) as stored. Candidates with too few points are left out. Cameras are held
    upright on average, which says where up is; the poses must fit.
    """
    poses = {position: geometry.poses.convert(geometry.sample.poses[position]) for position in ids}
    up = -np.mean([pose[:3, 1] for pose in poses.values()], axis=0)
    if np.linalg.norm(up) < 0.5:  # the cameras look every way
        return {}
    up /= np.linalg.norm(up)
    likeness = {}
    for candidate in candidates:
        clouds = []
        for position, picture in ids.items():
            frame = geometry.sample.frame(position)
            if frame is None or frame.depth is None:
                continue
            size = (frame.camera.width, frame.camera.height)
            mask = cv2.resize((picture == candidate).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
            depth = frame.depth.numpy()
            rows, columns = np.nonzero((mask > 0) & np.isfinite(depth))
            if len(rows) < 30:
                continue
            chosen = np.linspace(0, len(rows) - 1, min(len(rows), POINTS // len(ids) + 1)).round().astype(int)
            pixels = np.stack([columns[chosen], rows[chosen]], axis=1)
            points = points_of(frame, pixels, depth[rows[chosen], columns[chosen]].astype(np.float64), poses[position])
            clouds.append(points)
        if sum(len(each) for each in clouds) >= 200:
            centre = np.median([pose[:3, 3] for pose in poses.values()], axis=0)
            likeness[candidate] = _plane_share(np.concatenate(clouds) - centre, up)
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
