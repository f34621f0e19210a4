"""Whether memory grows: the slope of a line through the second half of each run, with its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["flat", "grows", "undecided"]


@dataclass(frozen=True)
class Trend:
    """Growth in MB an hour, with the interval that 95 of 100 repetitions would fall into."""

    slope: float
    low: float
    high: float
    noise: float
    """Standard deviation of the samples around the lines, MB."""
    samples: int

    def verdict(self, limit: float) -> Verdict:
        """flat: even the upper end is below the limit (MB an hour). grows: even the lower end is above it."""
        if self.high < limit:
            return "flat"
        return "grows" if self.low > limit else "undecided"


Run = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Seconds since its start, MB."""


def trend(runs: list[Run], warm_up: float = 300.0) -> Trend:
    """One slope through all runs, a level for each. Raises ValueError where too few samples count.

    A process fills its caches first: only the second half of each run counts, and nothing before `warm_up` seconds.
    Samples lie close in time and resemble each other, so they are worth fewer than they are: n (1 - r) / (1 + r), r the
    correlation of neighbors.
    """
    hours, memory, heads = [], [], []
    for seconds, megabytes in runs:
        late = seconds >= max(warm_up, seconds[-1] / 2)
        if late.sum() >= 2:
            hours.append((seconds[late] - seconds[late].mean()) / 3600)
            memory.append(megabytes[late] - megabytes[late].mean())
            heads.append(np.arange(late.sum()) == 0)
    x, y = (np.concatenate(parts) if parts else np.zeros(0) for parts in (hours, memory))
    freedom = len(x) - len(hours) - 1
    if freedom < 1:
        raise ValueError(f"{len(x)} samples after the warm-up of {warm_up:g} s; expected at least 4. Run longer")
    slope = float(x @ y / (x @ x))
    rest = y - slope * x
    inside = ~np.concatenate(heads)[1:]  # the last of a run and the first of the next are no neighbors
    power = float(rest @ rest)
    alike = float(np.clip((rest[1:] * rest[:-1])[inside].sum() / power, 0, 0.99)) if power else 0.0
    worth = max(1.0, freedom * (1 - alike) / (1 + alike))
    noise = float(np.sqrt(power / freedom))
    error = noise / np.sqrt((x @ x) / len(x) * worth)
    return Trend(slope, slope - 2 * error, slope + 2 * error, noise, len(x))
