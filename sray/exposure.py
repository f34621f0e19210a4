"""Exposure: what the colors of each picture are multiplied by, so that one surface has one color in all pictures.

A camera meters every picture anew: exposure and white balance differ from one to the next. Where depth says that two
pictures show the same surface, the ratio of their colors is the ratio of their exposures. One gain per picture and
channel explains the ratios of all pairs together. Source: the gain compensation of Brown and Lowe, "Automatic
Panoramic Image Stitching using Invariant Features" (IJCV 2007), here with logarithms and against outliers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera, image_grid
from sray.frames import SourceViews
from sray.stereo.agreement import AGREEING
from sray.view_selection import pose_costs

CELL = 4
"""Edge, in pixels, of the cells whose mean colors are compared: noise and small errors of poses cancel in them."""
DARKEST, BRIGHTEST = 0.05, 0.95
"""Mean colors outside say nothing of the exposure: noise below, and above the sensor is full."""
LEAST_CELLS = 20
"""Cells that two pictures must share to be compared."""
PRIOR = 1.0
"""Weight, in cells, of the expectation that a gain is 1. It decides what no pair does: the exposure of all together."""
OUTLIER = 0.1
"""Residual of a pair, in log color, from which it counts less: its surfaces shine, or its depth is wrong."""
NEARBY = 0.15
"""Pose cost (`sray.view_selection.pose_costs`) by which a view's say in the exposure of a render falls to a third."""
ROUNDS = 5
"""Solutions after each other; each weighs the pairs by how far off they were in the one before."""


@dataclass(frozen=True)
class Shot:
    """A picture and the surface that it shows, as far as that is known."""

    image: Float[Tensor, "3 height width"]
    """RGB in 0..1."""
    camera: Camera
    depth: Float[Tensor, "height width"]
    """Camera z, meters; NaN where it is not trusted."""

    @cached_property
    def log_colors(self) -> Float[Tensor, "3 rows columns"]:
        """Of the cells; NaN where a channel is too dark or too bright to be compared."""
        mean = F.avg_pool2d(self.image, CELL)
        usable = ((mean >= DARKEST) & (mean <= BRIGHTEST)).all(0)
        return torch.where(usable, mean.clamp_min(DARKEST).log(), torch.nan)

    @cached_property
    def surface(self) -> tuple[Float[Tensor, "cells 3"], Float[Tensor, "cells 3"]]:
        """Points (meters from the camera's origin) of cells whose depth and color are known, and their log colors."""
        rows, columns = self.log_colors.shape[1:]
        depth = self.depth[CELL // 2 :: CELL, CELL // 2 :: CELL][:rows, :columns]
        known = depth.isfinite() & self.log_colors[0].isfinite()
        row, column = torch.nonzero(known, as_tuple=True)
        pixels = CELL * torch.stack([column, row], dim=-1).float() + CELL // 2
        points = self.camera.center + depth[known].unsqueeze(-1) * self.camera.ray_directions(pixels)
        return points, self.log_colors[:, known].T


@dataclass(frozen=True)
class Comparison:
    """How much brighter one picture shows the surfaces that it shares with another."""

    log_ratio: Float[Tensor, "3"]
    """Of the first one's colors over the other's, per channel."""
    cells: int
    """That were compared."""


def compared(one: Shot, other: Shot) -> Comparison | None:
    """Two pictures on the surfaces that both see; None if these are too few. The median over cells bears outliers."""
    points, colors = one.surface
    projection = other.camera.project(points)
    column, row = projection.pixels.round().nan_to_num().long().unbind(-1)
    height, width = other.depth.shape
    there = other.depth[row.clamp(0, height - 1), column.clamp(0, width - 1)]
    # Where the other's depth is unknown, something may hide the surface from it: the comparison fails as for NaN.
    same = projection.seen & ((there / projection.depth - 1).abs() <= AGREEING)
    rows, columns = other.log_colors.shape[1:]
    grid = image_grid(projection.pixels[same], columns * CELL, rows * CELL)
    found = F.grid_sample(other.log_colors[None], grid[None, None], align_corners=False)[0, :, 0].T
    ratios = colors[same] - found
    ratios = ratios[ratios.isfinite().all(-1)]
    if len(ratios) < LEAST_CELLS:
        return None
    return Comparison(ratios.median(0).values, len(ratios))


def solved(
    pairs: Sequence[tuple[int, int, Comparison]], fixed: Float[Tensor, "pictures 3"]
) -> Float[Tensor, "pictures 3"]:
    """Log gains of the pictures: robust least squares over pairs (indices of the first and of the other picture).

    Rows of `fixed` that are not NaN are known already and stay. Pictures without a pair get 0, a gain of 1.
    """
    count, free = len(fixed), fixed.isnan().any(-1)
    found = fixed.nan_to_num(0.0).double()
    if not pairs or not free.any():
        return found.to(fixed)
    one, other = (torch.tensor([pair[place] for pair in pairs]) for place in (0, 1))
    ratio = torch.stack([pair[2].log_ratio for pair in pairs]).double().cpu()
    cells = torch.tensor([pair[2].cells for pair in pairs]).double()
    weight = cells
    for _ in range(ROUNDS):
        # The normal equations of gain(one) - gain(other) = -ratio: gains that make the colors of both equal.
        normal = PRIOR * torch.eye(count, dtype=torch.float64)
        target = torch.zeros(count, 3, dtype=torch.float64)
        for here, there, sign in ((one, other, -1), (other, one, 1)):
            normal.index_put_((here, here), weight, accumulate=True)
            normal.index_put_((here, there), -weight, accumulate=True)
            target.index_add_(0, here, sign * weight.unsqueeze(-1) * ratio)
        target -= normal[:, ~free] @ found[~free]
        found[free] = torch.linalg.solve(normal[free][:, free], target[free])
        residual = (found[one] - found[other] + ratio).abs().mean(-1)
        weight = cells * (OUTLIER / residual.clamp_min(OUTLIER)) ** 2
    return found.to(fixed)


def exposure_around(target: Camera, cameras: Camera, gains: Float[Tensor, "views 3"]) -> Float[Tensor, "3"]:
    """What colors of the views' common exposure are multiplied by to have the exposure of the views around a target.

    A camera that stood there would have metered much as those did. The nearest ones decide.
    """
    share = torch.softmax(-pose_costs(target, cameras) / NEARBY, 0)
    return (-(share @ gains.log())).exp()


def color_gains(views: SourceViews) -> Float[Tensor, "views 3"] | None:
    """Gains of views that have depth, from the surfaces they share; None where no two can be compared.

    Their geometric mean is 1: the colors are those of the mean exposure of these views.
    """
    depth = views.trusted_depth
    if depth is None:
        return None
    shots = [Shot(views.images[each], views.camera[each], depth[each]) for each in range(views.count)]
    pairs = [
        (one, other, comparison)
        for one in range(views.count)
        for other in range(one + 1, views.count)
        if (comparison := compared(shots[one], shots[other])) is not None
    ]
    if not pairs:
        return None
    return solved(pairs, torch.full((views.count, 3), torch.nan)).exp().to(views.images)
