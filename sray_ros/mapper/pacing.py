"""Pacing: chooses the quality and the size of a view that can be rendered in time (`render.max_latency`)."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

COST = {"reference": 13.0, "high": 2.4, "balanced": 1.0, "fast": 0.45}
"""Time a pixel takes at each quality, relative to `balanced` (docs/performance.md). What is rendered corrects it."""
SCALES = (1.0, 0.71, 0.5, 0.35, 0.25)
"""Each has half the pixels of the one before."""
MARGIN = 1.15
"""An estimate may be wrong by so much without missing the deadline."""
REMEMBERED = 16


@dataclass(frozen=True)
class Effort:
    """How well a view is rendered."""

    quality: str
    scale: float = 1.0
    """Of the size that was asked for."""
    is_lowered: bool = False
    """Whether it is less than what was asked for."""


@dataclass(frozen=True)
class _Render:
    work: float
    seconds: float


class Pace:
    """Chooses quality first and size last: half the pixels hurt more than fewer samples (docs/performance.md)."""

    def __init__(self) -> None:
        self._renders: deque[_Render] = deque(maxlen=REMEMBERED)

    def choose(self, quality: str, pixels: int, seconds: float | None) -> Effort:
        """The best effort that is expected to take no more than `seconds`; the least one if none is.

        `seconds` None: no limit. Before anything was rendered nothing is known: the first view is rendered as asked.
        """
        efforts = _ladder(quality)
        if seconds is None or not self._renders:
            return efforts[0]
        return next((effort for effort in efforts if MARGIN * self._estimate(effort, pixels) <= seconds), efforts[-1])

    def learn(self, effort: Effort, pixels: int, seconds: float) -> None:
        """`pixels` as asked for, before `effort.scale`."""
        self._renders.append(_Render(_work(effort, pixels), seconds))

    def _estimate(self, effort: Effort, pixels: int) -> float:
        """Seconds, in proportion to the work: from the past render whose work is most similar, because every view also
        has a cost that does not depend on its size; or from the last one, if the machine has become faster since."""
        work = _work(effort, pixels)
        nearest = min(reversed(self._renders), key=lambda render: abs(math.log(render.work / work)))
        return min(render.seconds * work / render.work for render in (nearest, self._renders[-1]))


def _ladder(quality: str) -> list[Effort]:
    """As asked for first; then faster qualities; then smaller views of the fastest."""
    order = list(COST)
    faster = order[order.index(quality) :]
    efforts = [Effort(name, is_lowered=name != quality) for name in faster]
    return efforts + [Effort(faster[-1], scale, is_lowered=True) for scale in SCALES[1:]]


def _work(effort: Effort, pixels: int) -> float:
    return max(1.0, pixels * effort.scale**2) * COST[effort.quality]
