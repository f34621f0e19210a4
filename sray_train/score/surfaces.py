"""How well a map's points lie on the true surfaces: accuracy, completeness, F-score (as in Tanks and Temples, 2017).

True surfaces are the fused true depth of frames: rooms have it of every pixel, recordings what their sensor saw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sray.field import RenderedView
from sray.frames import Frame
from sray.mapping.cloud import LabeledCloud, cloud_of_view
from sray.mapping.mapper_config import CloudConfig
from sray.mapping.voxel_map import VoxelMap

WITHIN = 0.05
"""Meters: what counts as the same place."""
SPACING = 0.025
"""Meters: both sides are thinned to one point of each such voxel, so that a wall seen often counts no more."""


@dataclass(frozen=True)
class SurfaceScores:
    """A map beside the true surfaces. NaN where one of the two has no point."""

    accuracy: float
    """Mean distance (meters) from a point of the map to the nearest true one."""
    completeness: float
    """Mean distance (meters) from a true point to the nearest one of the map."""
    precision: float
    """Share of the map's points that are within 5 cm of a true one."""
    recall: float
    """Share of the true points that are within 5 cm of one of the map."""
    f_score: float
    """Harmonic mean of precision and recall; 0 for a map without points."""


NO_SURFACE = SurfaceScores(math.nan, math.nan, math.nan, math.nan, math.nan)
"""Where no true surface is known."""


def surface_scores(
    points: Float32[np.ndarray, "points 3"], truth: Float32[np.ndarray, "truths 3"], within: float = WITHIN
) -> SurfaceScores:
    """Compare a map with true points, both in meters in one frame. Twin: test/reference/surfaces.py."""
    points, truth = thinned(points), thinned(truth)
    if not len(truth):
        return NO_SURFACE
    if not len(points):
        return SurfaceScores(math.nan, math.nan, math.nan, 0.0, 0.0)
    to_truth, _ = cKDTree(truth).query(points)
    to_map, _ = cKDTree(points).query(truth)
    precision, recall = float((to_truth <= within).mean()), float((to_map <= within).mean())
    f_score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return SurfaceScores(float(to_truth.mean()), float(to_map.mean()), precision, recall, f_score)


def thinned(points: NDArray[np.floating], spacing: float = SPACING) -> NDArray[np.float64]:
    """The mean point of each voxel of this edge (meters) that holds some. Points that are not finite are left out."""
    known: NDArray[np.float64] = points[np.isfinite(points).all(1)].astype(np.float64)
    if not len(known):
        return known
    _, voxel, count = np.unique(np.floor(known / spacing), axis=0, return_inverse=True, return_counts=True)
    voxel = voxel.reshape(-1)
    sums = np.stack([np.bincount(voxel, weights=column) for column in known.T], axis=1)
    means: NDArray[np.float64] = sums / count[:, None]
    return means


class RenderedMap:
    """Rendered pictures of one scene fused into voxels of 5 cm, beside the surfaces they show.

    Points are left out as the node does. Of few pictures nothing is left out that one alone shows, or another looks
    through.
    """

    def __init__(self, classes: int) -> None:
        self._map = VoxelMap(classes)
        self._truth: list[NDArray[np.float64]] = []

    def add(self, view: RenderedView, truth: Frame) -> None:
        """A rendering of the frame's own camera; the frame has depth."""
        self._map.integrate(cloud_of_view(view, max_jump=CloudConfig.max_jump))
        self._truth.append(true_points([truth]))

    def scores(self) -> SurfaceScores:
        return surface_scores(self._map.to_cloud().points, np.concatenate(self._truth))


def true_cloud(frames: Iterable[Frame]) -> LabeledCloud:
    """Recorded colors of the true surfaces, in voxels of 5 cm, to be looked at. All labels are 0."""
    fused = VoxelMap(1)
    for frame in frames:
        if frame.depth is not None:
            blank = RenderedView.blank(frame.camera)
            shown = replace(blank, depth=frame.depth, common_color=frame.image.float() / 255)
            fused.integrate(cloud_of_view(replace(shown, confidence=torch.ones_like(frame.depth))))
    return fused.to_cloud()


def true_points(frames: Iterable[Frame]) -> NDArray[np.float64]:
    """Fused depth of the frames as points (n, 3) in the world, thinned; none where no frame has depth."""
    clouds = [np.zeros((0, 3))]
    for frame in frames:
        if frame.depth is None:
            continue
        known = torch.isfinite(frame.depth) & (frame.depth > 0)
        rays = frame.camera.ray_directions(frame.camera.pixel_grid()[known.flatten()])
        points = frame.camera.center + frame.depth[known].unsqueeze(-1) * rays
        clouds.append(thinned(points.numpy()))
    return thinned(np.concatenate(clouds))
