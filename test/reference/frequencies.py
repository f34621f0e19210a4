"""NeRF's positional encoding read aloud (eq. 4, beside the value itself): one number at a time."""

from __future__ import annotations

import math


def encoding(values, count):
    """The values; then for each value its sines, at 2^k pi; then for each value its cosines."""
    sines = [math.sin(2**k * math.pi * value) for value in values for k in range(count)]
    cosines = [math.cos(2**k * math.pi * value) for value in values for k in range(count)]
    return [*values, *sines, *cosines]
