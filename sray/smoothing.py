"""Features smoothed within surfaces: each cell becomes the mean of the cells around it that have its color.

An encoder errs in patches: a wall is a wall here and a door there. What has one color is mostly one thing, and its mean
is right more often than its parts. Edges of the color stay edges. A bilateral filter (Tomasi and Manduchi, ICCV 1998),
joint: the weights are of the picture, what is averaged are the features.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sray.camera import FEATURE_STRIDE

REACH = 2
"""Cells that are averaged, on either side, along each axis."""
APART = 2
"""Cells between them: a wide window at little cost."""
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
    mean = torch.zeros_like(features, dtype=torch.float32)
    for weight, (_, there) in zip(_weights(images, tolerance).unbind(1), _taps(features.float(), 0.0), strict=True):
        mean = torch.addcmul(mean, weight.unsqueeze(1), there)
    return mean


@torch.no_grad()
def _weights(
    images: Float[Tensor, "views 3 height width"], tolerance: float
) -> Float[Tensor, "views taps rows columns"]:
    """Of the cells around each cell; they sum to 1. Cells beyond the picture have 0."""
    size = FEATURE_STRIDE + 1  # odd: centered on a cell
    colors = F.avg_pool2d(images.float(), size, FEATURE_STRIDE, size // 2, count_include_pad=False)
    weights = []
    for steps, there in _taps(colors, BEYOND):
        unlike = (there - colors).square().sum(1) / (2 * tolerance**2) + steps / (2 * SPREAD**2)
        weights.append(torch.exp(-unlike))
    taps = torch.stack(weights, 1)
    return taps / taps.sum(1, keepdim=True)


def _taps(
    cells: Float[Tensor, "views channels rows columns"], beyond: float
) -> Iterator[tuple[int, Float[Tensor, "views channels rows columns"]]]:
    """For each place around a cell: its squared distance, in steps of APART cells, and what all cells have there.

    `beyond`: what lies outside the picture.
    """
    rows, columns = cells.shape[-2:]
    margin = REACH * APART
    padded = F.pad(cells, (margin,) * 4, value=beyond)
    for down, right in product(range(-REACH, REACH + 1), repeat=2):
        row, column = margin + APART * down, margin + APART * right
        yield down**2 + right**2, padded[:, :, row : row + rows, column : column + columns]
