"""Pixels from cells twice as far apart: labels and depth follow the edges of the color, which is found per pixel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from sray.guidance import Window
from sray.shaded import Shaded

COLOR_TOLERANCE = 0.08
"""Standard deviation, in color units of 0..1, of the difference that still speaks for the same surface."""
SAME_SURFACE = 0.1
"""Cells whose depths differ by less than this fraction lie on one surface, and depth between them is interpolated."""

NOTHING = 1e-3
"""A cell less opaque than this shows nothing."""

Tint = Callable[[Float[Tensor, "pixels 2"], Float[Tensor, " pixels"]], Float[Tensor, "pixels 3"]]
"""Color of pixels (column, row) at given depths (camera z, meters)."""


def upsample_along_colors(pixels: Window, cells: Window, shaded: Shaded, tint: Tint) -> Shaded:
    """Joint bilateral upsampling: each pixel mixes the four cells around it, by nearness and likeness of color.

    The pixel's color is that of the sources at its interpolated depth, so edges are as sharp as the sources show them.
    """
    corners, nearness = _corners(pixels, cells, shaded.depth.device)
    opacity = (nearness * shaded.opacity[corners]).sum(-1)
    # Cells on which nothing is found have neither depth nor color to give.
    found = shaded.opacity[corners] > NOTHING
    nearness = nearness * (found + 1e-6)  # where none of the four shows anything, the pixel is as empty as they are
    nearness = nearness / nearness.sum(-1, keepdim=True)
    depths = shaded.depth[corners].masked_fill(~found, 0)
    depths = torch.where(found, depths, depths.amax(-1, keepdim=True))
    smooth = (nearness * depths).sum(-1)
    nearest = depths.gather(-1, nearness.argmax(-1, keepdim=True)).squeeze(-1)
    on_edge = depths.amax(-1) - depths.amin(-1) > SAME_SURFACE * depths.amin(-1)
    color = tint(pixels.pixels(depths.device), torch.where(on_edge, nearest, smooth))
    cell_colors = shaded.color / shaded.opacity.clamp_min(1e-3).unsqueeze(-1)
    difference = (cell_colors[corners] - color.unsqueeze(-2)).square().sum(-1)
    # A little for every corner: where no color is alike, nearness decides.
    weights = nearness * (torch.exp(difference / (-2 * COLOR_TOLERANCE**2)) + 1e-3)
    weights = weights / weights.sum(-1, keepdim=True)
    alike = depths.gather(-1, weights.argmax(-1, keepdim=True)).squeeze(-1)
    return Shaded(
        probabilities=(weights.unsqueeze(-1) * shaded.probabilities[corners]).sum(-2),
        color=color * opacity.unsqueeze(-1),
        depth=torch.where(on_edge, alike, smooth),
        opacity=opacity,
        coverage=(weights * shaded.coverage[corners]).sum(-1),
    )


def _corners(
    pixels: Window, cells: Window, device: torch.device
) -> tuple[Int64[Tensor, "pixels 4"], Float[Tensor, "pixels 4"]]:
    """Indices of the four cells around each pixel, and their bilinear weights."""
    stride = cells.grid.stride
    height, width = cells.shape
    place = (pixels.pixels(device) - (stride - 1) / 2) / stride
    column = (place[:, 0] - cells.left).clamp(0, width - 1)
    row = (place[:, 1] - cells.top).clamp(0, height - 1)
    left, top = column.long(), row.long()
    right, bottom = (left + 1).clamp_max(width - 1), (top + 1).clamp_max(height - 1)
    x, y = column - left, row - top
    index = torch.stack([top * width + left, top * width + right, bottom * width + left, bottom * width + right], -1)
    return index, torch.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], -1)
