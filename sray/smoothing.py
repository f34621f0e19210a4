"""Features smoothed within surfaces: each cell becomes the mean of the cells around it that have its color.

An encoder errs in patches: a wall is a wall here and a door there. What has one color is mostly one thing, and its mean
is right more often than its parts. Edges of the color stay edges. A bilateral filter (Tomasi and Manduchi, ICCV 1998),
joint: the weights are of the picture, what is averaged are the features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sray.camera import FEATURE_STRIDE

REACH = 2
"""Cells that are averaged, on either side, along each axis."""
APART = 2
"""Cells between them: a wide window at little cost."""
MARGIN = REACH * APART
BEYOND = 1e3
"""Color of what lies beyond the picture: like none."""
SPREAD = 1.4
"""Standard deviation, in steps of `APART` cells, of how much a cell's nearness counts."""


def smoothed(
    features: Float[Tensor, "views channels rows columns"],
    images: Float[Tensor, "views 3 height width"],
    tolerance: float,
) -> Float[Tensor, "views channels rows columns"]:
    """Features (cell i at pixel 4 i) of pictures (RGB in 0..1), in single precision.

    `tolerance`: standard deviation, in color units of 0..1, of a difference that still speaks for one surface.
    """
    rows, columns = features.shape[-2:]
    padded = F.pad(features.float(), (MARGIN,) * 4)
    mean = torch.zeros_like(features, dtype=torch.float32)
    for weight, (row, column) in zip(_weights(images, tolerance).unbind(1), _places(), strict=True):
        mean = torch.addcmul(mean, weight.unsqueeze(1), padded[:, :, row : row + rows, column : column + columns])
    return mean


@torch.no_grad()
def _weights(
    images: Float[Tensor, "views 3 height width"], tolerance: float
) -> Float[Tensor, "views taps rows columns"]:
    """Of the cells around each cell; they sum to 1. Cells beyond the picture have 0."""
    size = FEATURE_STRIDE + 1  # odd: centered on a cell
    colors = F.avg_pool2d(images.float(), size, FEATURE_STRIDE, size // 2, count_include_pad=False)
    rows, columns = colors.shape[-2:]
    padded = F.pad(colors, (MARGIN,) * 4, value=BEYOND)
    weights = []
    for row, column in _places():
        there = padded[:, :, row : row + rows, column : column + columns]
        steps = ((row - MARGIN) ** 2 + (column - MARGIN) ** 2) / APART**2
        unlike = (there - colors).square().sum(1) / (2 * tolerance**2) + steps / (2 * SPREAD**2)
        weights.append(torch.exp(-unlike))
    taps = torch.stack(weights, 1)
    return taps / taps.sum(1, keepdim=True)


def _places() -> list[tuple[int, int]]:
    """First row and column, in a map padded by MARGIN, of what each tap takes."""
    ahead = range(0, 2 * MARGIN + 1, APART)
    return [(row, column) for row in ahead for column in ahead]
