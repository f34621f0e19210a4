"""Partners: the keyframes that tell a keyframe's depth. Far enough away to see parallax, near enough to see the same.

Source: the pose distances of DeepVideoMVS (Duzceker et al., CVPR 2021) and SimpleRecon (Sayed et al., ECCV 2022), which
prefer a baseline of about 0.15 m to 0.3 m indoors.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.sampling import ROOM_BOUNDS, Bounds
from sray.view_selection import cheapest, pose_distances, pose_scores

PARTNERS = 4
"""Partners of a keyframe. More cost more time and add little."""
BASELINE = 0.1
"""Meters of baseline for each meter of the scene's middle depth that a partner should have, at best."""
LEAST_BASELINE = 0.02
"""Meters, over the scene's middle depth: below it parallax is lost in pose noise."""
LEAST_OVERLAP = 0.3
"""Of the keyframe's viewing volume that a partner must see."""


def partner_cost(
    keyframe: Camera, candidates: Camera, bounds: Bounds = ROOM_BOUNDS
) -> Float[Tensor, "*keyframes views"]:
    """How badly each candidate suits as a partner: 0 at best, infinite if it cannot serve. `bounds`: meters.

    Of a batch of keyframes, for each of them.
    """
    scores = pose_scores(keyframe, candidates, bounds)
    cost = _pose_cost(scores.distance, scores.angle, bounds) + 2 * (1 - scores.overlap)
    return torch.where(scores.overlap < LEAST_OVERLAP, torch.inf, cost)


def select_partners(
    keyframe: Camera,
    candidates: Camera,
    count: int = PARTNERS,
    bounds: Bounds = ROOM_BOUNDS,
) -> list[int]:
    """Indices of the best candidates, best first; fewer, or none, if fewer can serve.

    The keyframe itself may be among the candidates: without a baseline it cannot serve.
    """
    least = least_partner_cost(keyframe, candidates, bounds)
    return cheapest(least, lambda indices: partner_cost(keyframe, candidates[indices], bounds), count)


def least_partner_cost(
    keyframe: Camera, candidates: Camera, bounds: Bounds = ROOM_BOUNDS
) -> Float[Tensor, "*keyframes views"]:
    """`partner_cost` of cameras that see all of each other's view: known from poses alone, the same both ways."""
    return _pose_cost(*pose_distances(keyframe, candidates), bounds)


def _pose_cost(
    distance: Float[Tensor, "*keyframes views"], angle: Float[Tensor, "*keyframes views"], bounds: Bounds
) -> Float[Tensor, "*keyframes views"]:
    baseline = (distance / (bounds[0] * bounds[1]) ** 0.5).clamp_min(1e-6)
    # Twice the wanted baseline costs as much as half of it: less makes depth uncertain, more hides surfaces.
    cost = torch.log2(baseline / BASELINE).abs() + angle
    return torch.where(baseline < LEAST_BASELINE, torch.inf, cost)
