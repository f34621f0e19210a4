"""Depth pictures as they come: whether floats can be meters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sray.errors import PictureError

FARTHEST_MEDIAN = 100.0
"""Meters. Half a picture farther away than this is no room: sensors that see so far are not depth cameras."""
STRIDE = 4
"""Of the rows and columns looked at."""


def why_not_meters(depth: NDArray[Any]) -> PictureError | None:
    """What says that floats (height, width), NaN or 0 where there is none, are millimeters; None if nothing does."""
    looked_at = depth[::STRIDE, ::STRIDE]
    known = looked_at[np.isfinite(looked_at) & (looked_at > 0)]
    median = float(np.median(known)) if known.size else 0.0
    if median <= FARTHEST_MEDIAN:
        return None
    return PictureError(
        f"a depth image (32FC1) has a median of {median:.0f}",
        "meters, and these are millimeters, it seems",
        "Divide by 1000, or send 16UC1",
    )
