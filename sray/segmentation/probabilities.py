"""From what a network says on its own grid to probabilities of our classes at every pixel, in bands of rows.

A picture of ScanNet's size has 1.25 million pixels, and ADE20K 150 classes: all at once they would take 750 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BAND = 64
"""Rows at a time."""


@dataclass(frozen=True)
class PixelScores:
    """A network that scores classes at each pixel: SegFormer, DeepLab."""

    maps: Float[Tensor, "sources rows columns"]
    """Logits on the network's grid."""

    def mapped(
        self, band: Float[Tensor, "sources height width"], table: Float[Tensor, "sources targets"]
    ) -> Float[Tensor, "targets height width"]:
        """Softmax over the network's classes, then sums over those that mean the same."""
        return torch.einsum("shw,st->thw", band.softmax(0), table)


@dataclass(frozen=True)
class QueryScores:
    """A network that finds regions and names each: Mask2Former, MaskFormer."""

    maps: Float[Tensor, "queries rows columns"]
    """Logits of each query's region on the network's grid."""
    named: Float[Tensor, "queries sources"]
    """Probability of each class for each query; what is left of 1 is "no object"."""

    def mapped(
        self, band: Float[Tensor, "queries height width"], table: Float[Tensor, "sources targets"]
    ) -> Float[Tensor, "targets height width"]:
        """Each pixel's regions vote with their classes. Votes above 1 in all are scaled to 1; below, the rest says
        nothing and joins the last column: a pixel that no region claims is unsure, not its least unlikely class.
        """
        votes = torch.einsum("qhw,qt->thw", band.sigmoid(), self.named @ table)
        total = votes.sum(0)
        votes = votes / total.clamp_min(1)
        votes[-1] += (1 - total).clamp_min(0)
        return votes


def bands(
    maps: Float[Tensor, "maps rows columns"], height: int, width: int, band: int = BAND
) -> Iterator[Float[Tensor, "maps _ width"]]:
    """Maps resized bilinearly to a picture's size, a band of rows at a time.

    The grid's cells divide the picture evenly: pixel centers at integers, row i of the picture lies at row
    (i + 0.5) rows / height - 0.5 of the grid, as `F.interpolate` without aligned corners.
    """
    rows = maps.shape[1]
    wide = F.interpolate(maps.unsqueeze(0), (rows, width), mode="bilinear", align_corners=False)[0]
    position = ((torch.arange(height, device=maps.device) + 0.5) * rows / height - 0.5).clamp(0, rows - 1)
    above = position.floor().long()
    below = (above + 1).clamp_max(rows - 1)
    share = (position - above).unsqueeze(-1)
    for first in range(0, height, band):
        part = slice(first, first + band)
        yield wide[:, above[part]] * (1 - share[part]) + wide[:, below[part]] * share[part]


def probabilities(
    scores: PixelScores | QueryScores, table: Float[Tensor, "sources targets"], height: int, width: int
) -> Iterator[Float[Tensor, "targets _ width"]]:
    """Probabilities of our classes, the last being "says nothing", a band of rows at a time. They sum to 1."""
    for band in bands(scores.maps, height, width):
        yield scores.mapped(band, table)
