"""Depth errors of one picture, pixel by pixel."""

from __future__ import annotations

import math
import statistics


def depth_scores(depth: list[float], truth: list[float], scored: list[bool]) -> tuple[float, float, float, float]:
    """Absolute relative error, share within 1.25, share within 1.05, median absolute error (meters).

    NaN or 0 is no depth. Errors are of pixels that have both depths, shares of all pixels that have a true one.
    """
    relative, absolute, near, nearer, count = [], [], 0, 0, 0
    for found, true, wanted in zip(depth, truth, scored, strict=True):
        if not wanted or math.isnan(true) or true <= 0:
            continue
        count += 1
        if math.isnan(found) or found <= 0:
            continue
        relative.append(abs(found - true) / true)
        absolute.append(abs(found - true))
        ratio = found / true if found > true else true / found
        near += ratio < 1.25
        nearer += ratio < 1.05
    if not count:
        return (math.nan,) * 4
    if not absolute:
        return math.nan, near / count, nearer / count, math.nan
    return sum(relative) / len(relative), near / count, nearer / count, statistics.median(absolute)
