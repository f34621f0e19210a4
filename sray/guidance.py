"""Guided sampling: where a ray's few samples belong, found on a coarser grid of rays or in the sources' depth.

A cell of the grid holds a distribution over equal bins of the normalized ray coordinate. A ray takes the bilinear mix
of the cells around it: at an edge in depth the mix has two peaks, and both surfaces get samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sray.camera import Camera
from sray.frames import SourceViews
from sray.sampling import DepthRange


@dataclass(frozen=True)
class PixelGrid:
    """Every `stride`-th pixel of an image both ways; cell i is centered at pixel stride i + (stride - 1) / 2."""

    width: int
    """Of the image, pixels."""
    height: int
    stride: int

    @property
    def columns(self) -> int:
        return -(-self.width // self.stride)

    @property
    def rows(self) -> int:
        return -(-self.height // self.stride)

    def windows(self, edge: int) -> list[Window]:
        """All cells, in windows of at most `edge` cells a side, row by row."""
        return [
            Window(self, top, min(top + edge, self.rows), left, min(left + edge, self.columns))
            for top in range(0, self.rows, edge)
            for left in range(0, self.columns, edge)
        ]


@dataclass(frozen=True)
class Window:
    """A rectangle of a grid's cells; ends are exclusive."""

    grid: PixelGrid
    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    def pixels(self, device: torch.device | str = "cpu") -> Float[Tensor, "cells 2"]:
        """Cell centers, row by row (column, row), in pixels of the image."""
        return torch.cartesian_prod(*self._axes(device)).flip(-1)

    def around(self, grid: PixelGrid) -> Window:
        """The cells of another grid of the same image whose mix reaches every cell of this window."""
        step, offset = self.grid.stride, (self.grid.stride - grid.stride) / 2

        def reach(first: int, end: int, cells: int) -> tuple[int, int]:
            low, high = (step * first + offset) / grid.stride, (step * (end - 1) + offset) / grid.stride
            return min(max(math.floor(low), 0), cells - 1), min(max(math.ceil(high) + 1, 1), cells)

        return Window(grid, *reach(self.top, self.bottom, grid.rows), *reach(self.left, self.right, grid.columns))

    def mix(
        self, coarse: Window, values: Float[Tensor, "rows columns channels"]
    ) -> Float[Tensor, "new_rows new_columns channels"]:
        """Bilinear mix of a coarser window's values at this window's cells; outside its centers: the outermost.

        `coarse`: what `around` gives. Of a grid as fine as this one it is the same cells, and nothing is mixed.
        """
        if coarse.grid.stride == self.grid.stride:
            return values
        vertical, horizontal = (
            _hat(fine, start, count, coarse.grid.stride)
            for fine, start, count in zip(
                self._axes(values.device), (coarse.top, coarse.left), coarse.shape, strict=True
            )
        )
        # Two small dense products: a few nonzeros a row, but no gathering of whole distributions.
        rows = (vertical @ values.flatten(1)).reshape(-1, *values.shape[1:])
        mixed: Tensor = horizontal @ rows
        return mixed

    def touched(self, fine: Window, cells: Bool[Tensor, "fine_rows fine_columns"]) -> Bool[Tensor, "rows columns"]:
        """Which cells of this coarser window have a share in the mix of some of a finer window's cells."""
        vertical, horizontal = (
            _hat(places, start, count, self.grid.stride)
            for places, start, count in zip(fine._axes(cells.device), (self.top, self.left), self.shape, strict=True)
        )
        return vertical.T @ cells.float() @ horizontal > 0

    def _axes(self, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Rows and columns of the cell centers, in pixels of the image."""
        step, center = self.grid.stride, (self.grid.stride - 1) / 2
        return (
            torch.arange(self.top, self.bottom, device=device, dtype=torch.float32) * step + center,
            torch.arange(self.left, self.right, device=device, dtype=torch.float32) * step + center,
        )


def _hat(pixels: Tensor, start: int, cells: int, stride: int) -> Float[Tensor, "pixels cells"]:
    """Weights of linear interpolation from cells start, start + 1, ... to pixels."""
    place = ((pixels - (stride - 1) / 2) / stride - start).clamp(0, cells - 1)
    return (1 - (place[:, None] - torch.arange(cells, device=pixels.device)).abs()).clamp_min(0)


GAP = 1.1
"""What is this much nearer belongs to another surface."""


def nearest_depth(sources: SourceViews, target: Camera, grid: PixelGrid) -> Float[Tensor, "rows columns"]:
    """The sources' trusted depth as the target sees it: camera z in meters per cell, of the nearest surface; NaN where
    none. Of what the sources say of that surface it is the mean, by confidence and in log.

    One doubtful reading before a wall would be nearest: depth of little confidence leaves its cell to the network.
    A camera closer than the sources sees gaps between their pixels, and through them what lies behind, or nothing: a
    cell that opposite neighbors are well in front of takes the nearest of them. (At an edge one side is.)
    Raises ValueError if the sources have no depth.
    """
    trusted = sources.trusted_depth
    if trusted is None:
        raise ValueError("the source views have no depth images")
    confidence = torch.ones_like(trusted) if sources.depth_confidence is None else sources.depth_confidence
    nearest = torch.full((grid.rows * grid.columns,), torch.inf, device=trusted.device)
    pixels = sources.camera[0].pixel_grid()
    said = []
    for index in range(sources.count):
        camera, depth = sources.camera[index], trusted[index].reshape(-1)
        known = torch.isfinite(depth) & (depth > 0)
        points = camera.center + depth[known].unsqueeze(-1) * camera.ray_directions(pixels[known])
        seen = target.project(points)
        columns, rows = ((seen.pixels[seen.seen] + 0.5) / grid.stride).floor().long().unbind(-1)
        cell, depth = rows * grid.columns + columns, seen.depth[seen.seen]
        nearest.scatter_reduce_(0, cell, depth, "amin")
        said.append((cell, depth, confidence[index].reshape(-1)[known][seen.seen]))
    total, weights = torch.zeros(2, len(nearest), device=trusted.device).unbind()
    for cell, depth, weight in said:
        weight = torch.where(depth <= GAP * nearest[cell], weight, 0.0)
        total.scatter_add_(0, cell, weight * depth.log())
        weights.scatter_add_(0, cell, weight)
    nearness = torch.where(weights > 0, torch.exp(-total / weights.clamp_min(1e-9)), 0.0)
    nearness = nearness.reshape(1, 1, grid.rows, grid.columns)
    around = F.unfold(nearness, 3, padding=1).reshape(9, grid.rows, grid.columns)
    nearness = nearness[0, 0]
    front = around > GAP * nearness
    is_gap = (front[3] & front[5]) | (front[1] & front[7]) | (front[0] & front[2] & front[6] & front[8])
    filled = torch.where(is_gap, around.amax(0), nearness)
    return torch.where(filled > 0, 1 / filled, torch.nan)


def distribution_around(
    depth: Float[Tensor, "cells"], bins: int, depth_range: DepthRange
) -> tuple[Float[Tensor, "cells bins"], Bool[Tensor, "cells"]]:
    """A peak two bins to either side of each depth (meters), and whether there is one: known and in the range."""
    coordinate = depth_range.coordinate_of(depth)
    known = (coordinate >= 0) & (coordinate <= 1)
    centers = (torch.arange(bins, device=depth.device) + 0.5) / bins
    peak = (2 - bins * (coordinate.unsqueeze(-1) - centers).abs()).clamp_min(0)
    peak = peak / peak.sum(-1, keepdim=True).clamp_min(1e-6)
    return torch.where(known.unsqueeze(-1), peak, 0.0), known


def spread(weights: Float[Tensor, "rays bins"]) -> Float[Tensor, " rays"]:
    """Standard deviation of the normalized coordinate under each distribution; 0 where there is none."""
    bins = weights.shape[-1]
    centers = (torch.arange(bins, device=weights.device) + 0.5) / bins
    share = weights / weights.sum(-1, keepdim=True).clamp_min(1e-6)
    mean = share @ centers
    return (share @ centers**2 - mean**2).clamp_min(0).sqrt()
