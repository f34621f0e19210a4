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
from sray.view_selection import nearest_views, pose_scores

PARTNERS = 4
"""Partners of a keyframe. More cost more time and add little."""
BASELINE = 0.1
"""Meters of baseline for each meter of the scene's middle depth that a partner should have, at best."""
LEAST_BASELINE = 0.02
"""Meters, over the scene's middle depth: below it parallax is lost in pose noise."""
LEAST_OVERLAP = 0.3
"""Of the keyframe's viewing volume that a partner must see."""
LOOKED_AT = 64
"""Candidates that are looked at, those nearest in place and direction: all that a usual mapper keeps, few of 10 000."""


def partner_cost(
    keyframe: Camera, candidates: Camera, bounds: Bounds = ROOM_BOUNDS
) -> Float[Tensor, "*keyframes views"]:
    """How badly each candidate suits as a partner: 0 at best, infinite if it cannot serve. `bounds`: meters.

    Of a batch of keyframes, for each of them.
    """
    scores = pose_scores(keyframe, candidates, bounds)
    middle = (bounds[0] * bounds[1]) ** 0.5
    baseline = (scores.distance / middle).clamp_min(1e-6)
    # Twice the wanted baseline costs as much as half of it: less makes depth uncertain, more hides surfaces.
    cost = torch.log2(baseline / BASELINE).abs() + 2 * (1 - scores.overlap) + scores.angle
    useless = (baseline < LEAST_BASELINE) | (scores.overlap < LEAST_OVERLAP)
    return torch.where(useless, torch.inf, cost)


def select_partners(
    keyframe: Camera,
    candidates: Camera,
    count: int = PARTNERS,
    bounds: Bounds = ROOM_BOUNDS,
) -> list[int]:
    """Indices of the best candidates, best first; fewer, or none, if fewer can serve.

    The keyframe itself may be among the candidates: without a baseline it cannot serve.
    """
    near = around(keyframe, candidates)
    cost = partner_cost(keyframe, candidates[near], bounds)
    order = torch.argsort(cost, stable=True)[:count].tolist()
    return [near[place] for place in order if torch.isfinite(cost[place])]


def around(keyframe: Camera, candidates: Camera) -> list[int]:
    """Indices of the candidates that are worth a look, in ascending order."""
    return sorted(nearest_views(keyframe, candidates, LOOKED_AT))
