"""Which frames of a scene are targets, and which are their sources."""

from __future__ import annotations

import torch

from sray_train.data.scene import Scene


def draw_views(scene: Scene, views: tuple[int, int], generator: torch.Generator) -> tuple[int, list[int]]:
    """A random target and random sources among its nearest, nearby but sparse, as the paper draws them for training.

    The number of sources (`views`: fewest, most), and how many neighbours they are drawn from (up to half as many
    again), vary, so that the model meets dense and sparse views.
    """
    target = _integer(0, len(scene.frames), generator)
    count = _integer(views[0], views[1] + 1, generator)
    pool = scene.nearest(target, min(count + _integer(0, count // 2 + 1, generator), len(scene.frames) - 1))
    chosen = torch.randperm(len(pool), generator=generator)[:count]
    return target, [pool[int(index)] for index in chosen]


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (1,), generator=generator))
