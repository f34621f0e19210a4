"""Which frames serve as sources for a target camera: nearest by pose score (distance, angle, overlap).

A good source is close to the target (little parallax to get wrong), looks the same way (it sees the same sides of
things), and sees the same part of the scene. Overlap is measured, not guessed: points on a coarse grid of the target's
viewing frustum are projected into every candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sray.camera import Camera
from sray.sampling import ROOM_BOUNDS

_GRID = (8, 6)
"""Columns and rows of the pixels that measure overlap."""
_DEPTHS = 4
"""Depths between near and far, uniform in log z like the samples of a ray."""


@dataclass(frozen=True)
class PoseScores:
    """How candidates compare with the target, one value per candidate."""

    distance: Float[Tensor, " views"]
    """Metres between the camera centres."""
    angle: Float[Tensor, " views"]
    """Radians between the optical axes."""
    overlap: Float[Tensor, " views"]
    """Share of the target's frustum, between near and far, that the candidate sees: 0 to 1."""

    @property
    def cost(self) -> Float[Tensor, " views"]:
        """Lower is better. A metre counts as much as 45 degrees, or as half of the frustum out of sight."""
        return self.distance + self.angle / (torch.pi / 4) + 2 * (1 - self.overlap)


def pose_scores(target: Camera, candidates: Camera, bounds: tuple[float, float] = ROOM_BOUNDS) -> PoseScores:
    """Compare a batch of candidate cameras with one target camera; near and far in metres."""
    distance = (candidates.centre - target.centre).norm(dim=-1)
    cosine = (candidates.forward * target.forward).sum(-1)
    points = _frustum_points(target, bounds)
    overlap = candidates.project(points).seen.float().mean(dim=-1)
    return PoseScores(distance, torch.arccos(cosine.clamp(-1, 1)), overlap)


def select_views(
    target: Camera,
    candidates: Camera,
    count: int,
    excluded: Bool[Tensor, " views"] | None = None,
    *,
    bounds: tuple[float, float] = ROOM_BOUNDS,
    min_overlap: float = 0.0,
) -> list[int]:
    """Indices of the best `count` candidates for the target, best first; fewer if there are not so many.

    `excluded` candidates are never chosen (the target's own frame), nor those that see less than `min_overlap` of the
    target's frustum. Ties go to the lower index, so the choice is repeatable. Raises ValueError if count < 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}; expected at least 1 source view")
    scores = pose_scores(target, candidates, bounds)
    allowed = scores.overlap >= min_overlap
    if excluded is not None:
        allowed = allowed & ~excluded.to(allowed.device)
    order = torch.argsort(scores.cost, stable=True)
    return [int(index) for index in order[allowed[order]][:count]]


def _frustum_points(target: Camera, bounds: tuple[float, float]) -> Float[Tensor, "points 3"]:
    device = target.intrinsics.device
    columns = (torch.arange(_GRID[0], device=device) + 0.5) / _GRID[0] * target.width - 0.5
    rows = (torch.arange(_GRID[1], device=device) + 0.5) / _GRID[1] * target.height - 0.5
    pixels = torch.cartesian_prod(columns, rows)
    near, far = bounds
    fractions = (torch.arange(_DEPTHS, device=device) + 0.5) / _DEPTHS
    depths = near * (far / near) ** fractions
    directions = target.ray_directions(pixels)
    return (target.centre + depths[:, None, None] * directions).reshape(-1, 3)
