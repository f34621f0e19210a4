"""Which frames serve as sources for a target camera: nearest by pose score (distance, angle, overlap), or in place.

A good source is close to the target (little parallax to get wrong), looks the same way (it sees the same sides of
things), and sees the same part of the scene. Overlap is measured, not guessed: points on a coarse grid of the target's
viewing frustum are projected into the candidate.

Overlap is also what costs time, and it can only add to a cost. So candidates are looked at in the order of what their
distance and angle alone would cost, no farther than the worst of the best found so far: a few dozen of 10 000.
Reference twin: test/reference/view_selection.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from sray.camera import Camera
from sray.sampling import ROOM_BOUNDS, Bounds

Selection = Literal["pose_score", "nearest"]
"""What makes a view better: distance, angle and overlap; or distance and angle alone, once it sees enough."""
_GRID = (8, 6)
"""Columns and rows of the pixels that measure overlap."""
_DEPTHS = 4
"""Depths between near and far, uniform in log z like the samples of a ray."""
_FIRST_LOOK = 32
"""Candidates whose overlap is measured at once, at first: fewer would not be faster."""


@dataclass(frozen=True)
class PoseScores:
    """How candidates compare with the target, one value per candidate; of each target of a batch."""

    distance: Float[Tensor, "*targets views"]
    """Meters between the camera centers."""
    angle: Float[Tensor, "*targets views"]
    """Radians between the optical axes."""
    overlap: Float[Tensor, "*targets views"]
    """Share of the target's frustum, between near and far, that the candidate sees: 0 to 1."""

    @property
    def cost(self) -> Float[Tensor, "*targets views"]:
        """Lower is better. A meter counts as much as 45 degrees, or as half of the frustum out of sight."""
        return _pose_cost(self.distance, self.angle) + _overlap_cost(self.overlap)


def pose_scores(target: Camera, candidates: Camera, bounds: Bounds = ROOM_BOUNDS) -> PoseScores:
    """Compare a batch of candidate cameras with a target camera, or each of a batch; near and far in meters."""
    overlap = _overlap(_frustum_points(target.relative_to(candidates.origin), bounds), candidates)
    return PoseScores(*pose_distances(target, candidates), overlap)


def pose_distances(
    target: Camera, candidates: Camera
) -> tuple[Float[Tensor, "*targets views"], Float[Tensor, "*targets views"]]:
    """Meters between the camera centers, and radians between the optical axes; of each target of a batch."""
    target = target.relative_to(candidates.origin)
    distance = (candidates.center - target.center[..., None, :]).norm(dim=-1)
    cosine = (candidates.forward * target.forward[..., None, :]).sum(-1)
    return distance, torch.arccos(cosine.clamp(-1, 1))


def pose_costs(target: Camera, candidates: Camera) -> Float[Tensor, " views"]:
    """How far candidates are from the target by distance and angle alone. A meter counts as much as 45 degrees."""
    return _pose_cost(*pose_distances(target, candidates))


def nearest_views(target: Camera, candidates: Camera, count: int) -> list[int]:
    """Indices of the `count` candidates that distance and angle alone prefer, best first; ties in any order."""
    cost = pose_costs(target, candidates)
    return cost.topk(min(count, len(cost)), largest=False).indices.tolist()


def select_views(
    target: Camera,
    candidates: Camera,
    count: int,
    excluded: Bool[Tensor, " views"] | None = None,
    *,
    bounds: Bounds = ROOM_BOUNDS,
    min_overlap: float = 0.0,
    selection: Selection = "pose_score",
) -> list[int]:
    """Indices of the best `count` candidates for the target, best first; fewer if there are not so many.

    `excluded` candidates are never chosen (the target's own frame), nor those that see less than `min_overlap` of the
    target's frustum; with the selection "nearest" that is all that overlap is asked for. Ties go to the lower index,
    so the choice is repeatable. Raises ValueError if count < 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}; expected at least 1 source view")
    pose_cost = pose_costs(target, candidates)
    least = pose_cost if excluded is None else pose_cost.masked_fill(excluded.to(pose_cost.device), torch.inf)
    points = _frustum_points(target.relative_to(candidates.origin), bounds)

    def cost(indices: Int64[Tensor, " some"]) -> Float[Tensor, " some"]:
        overlap = _overlap(points, candidates[indices])
        found = pose_cost[indices]
        if selection == "pose_score":
            found = found + _overlap_cost(overlap)
        return torch.where(overlap >= min_overlap, found, torch.inf)

    return cheapest(least, cost, count)


def cheapest(
    least: Float[Tensor, " views"],
    cost: Callable[[Int64[Tensor, " some"]], Float[Tensor, " some"]],
    count: int,
) -> list[int]:
    """Indices of the `count` views of the lowest cost, cheapest first; the lower index among equals. Infinite: never.

    `least`: what a view costs at least. `cost`: what the views of some indices do cost, which is asked for few.
    """
    waiting = least.clone()
    best: list[tuple[float, int]] = []
    look = _FIRST_LOOK
    while True:
        # One that would cost just as much may still win by its lower index.
        promising = waiting < torch.inf
        if len(best) == count:
            promising &= waiting <= best[-1][0]
        indices = torch.nonzero(promising)[:, 0]
        if not len(indices):
            return [index for _, index in best]
        if len(indices) > look:
            indices = indices[waiting[indices].topk(look, largest=False).indices]
        found = cost(indices)
        serves = torch.isfinite(found)
        best = sorted(best + list(zip(found[serves].tolist(), indices[serves].tolist(), strict=True)))[:count]
        waiting[indices] = torch.inf
        look *= 4  # few see the target's view: soon all are looked at, in few steps


def _overlap(points: Float[Tensor, "*targets points 3"], candidates: Camera) -> Float[Tensor, "*targets views"]:
    return candidates.project(points).seen.float().mean(dim=-1).movedim(0, -1)


def _pose_cost(
    distance: Float[Tensor, "*targets views"], angle: Float[Tensor, "*targets views"]
) -> Float[Tensor, "*targets views"]:
    return distance + angle / (torch.pi / 4)


def _overlap_cost(overlap: Float[Tensor, "*targets views"]) -> Float[Tensor, "*targets views"]:
    """Never below 0: this is what the search stands on."""
    return 2 * (1 - overlap)


def _frustum_points(target: Camera, bounds: Bounds) -> Float[Tensor, "*targets points 3"]:
    device = target.intrinsics.device
    columns = (torch.arange(_GRID[0], device=device) + 0.5) / _GRID[0] * target.width - 0.5
    rows = (torch.arange(_GRID[1], device=device) + 0.5) / _GRID[1] * target.height - 0.5
    pixels = torch.cartesian_prod(columns, rows)
    near, far = bounds
    fractions = (torch.arange(_DEPTHS, device=device) + 0.5) / _DEPTHS
    depths = near * (far / near) ** fractions
    directions = target.ray_directions(pixels)
    points = target.center[..., None, None, :] + depths[:, None, None] * directions[..., None, :, :]
    return points.flatten(-3, -2)


def evenly_spread(count: int, total: int) -> list[int]:
    """Positions of `count` of `total` things in a row: the middles of as many equal parts. 2 of 8: [2, 6]."""
    return [(2 * number + 1) * total // (2 * count) for number in range(count)]
