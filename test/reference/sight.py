"""Who sees a sample, read aloud: one view and one sample at a time, plain numbers."""

from __future__ import annotations

import math


def surface_at(depth_image, confidence_image, column, row):
    """(depth, confidence) of the nearest pixel; None where nothing is known. `depth_image`: rows of meters."""
    height, width = len(depth_image), len(depth_image[0])
    nearest_row = round(min(max(row, 0.0), height - 1.0))
    nearest_column = round(min(max(column, 0.0), width - 1.0))
    depth = depth_image[nearest_row][nearest_column]
    confidence = 1.0 if confidence_image is None else confidence_image[nearest_row][nearest_column]
    if not (math.isfinite(depth) and depth > 0 and confidence > 0):
        return None
    return depth, min(confidence, 1.0)


def sight(z, surface):
    """(soft visibility, distance, hidden) of a sample at depth z of a view.

    The tolerance is 2 cm and 2 % of the depth, over the confidence.
    """
    if surface is None:
        return 0.5, 0.0, False
    depth, confidence = surface
    tolerance = (0.02 + 0.02 * depth) / confidence
    behind = (z - depth) / tolerance
    visibility = 1 / (1 + math.exp(-4 * (confidence - behind)))
    return visibility, min(max(behind / 3, -1.0), 1.0), behind > 2


def counting_views(inside, hidden):
    """Which views count for one sample: those inside and not hidden; if there are none, all inside."""
    left = [i and not h for i, h in zip(inside, hidden, strict=True)]
    return left if any(left) else list(inside)
