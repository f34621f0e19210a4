"""Which frames of a scene are targets, and which are their sources."""

from __future__ import annotations

import torch

from sray.view_selection import pose_scores
from sray_train.data.scene import Scene

LEAST_OVERLAP = 0.1
"""Of the target's frustum that a source view sees, even one that is wanted far away."""


def views_apart(scene: Scene, target: int, count: int, meters: float, degrees: float) -> list[int]:
    """The frames whose distance and angle from frame `target` come closest to so many meters and degrees, best first.

    Nearest views are almost the target's own picture: little is hidden from them, and they err alike.
    Twice the distance counts as much as half of it; fewer frames if fewer see LEAST_OVERLAP of the target's frustum.
    """
    scores = pose_scores(scene.cameras[target], scene.cameras, scene.bounds)
    away = torch.log2(scores.distance.clamp_min(1e-3) / meters).abs()
    cost = away + (torch.rad2deg(scores.angle) - degrees).abs() / degrees + 2 * (1 - scores.overlap)
    cost[scores.overlap < LEAST_OVERLAP] = torch.inf
    cost[target] = torch.inf
    order = torch.argsort(cost, stable=True)[:count]
    return [int(index) for index in order if torch.isfinite(cost[index])]


def draw_views(scene: Scene, views: tuple[int, int], generator: torch.Generator) -> tuple[int, list[int]]:
    """A random target and random sources among its nearest, nearby but sparse, as the paper draws them for training.

    The number of sources (`views`: fewest, most), and how many neighbors they are drawn from (up to half as many
    again), vary, so that the model meets dense and sparse views.
    """
    target = _integer(0, len(scene.frames), generator)
    count = _integer(views[0], views[1] + 1, generator)
    pool = scene.nearest(target, min(count + _integer(0, count // 2 + 1, generator), len(scene.frames) - 1))
    chosen = torch.randperm(len(pool), generator=generator)[:count]
    return target, [pool[int(index)] for index in chosen]


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (1,), generator=generator))
