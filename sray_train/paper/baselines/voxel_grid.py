"""Voxels that views have sighted: classes by Bayesian update, occupancy by hits and looks through; rays cast at them.

What robots have used for years: labels fused per element as in SemanticFusion (McCormac et al., ICRA 2017), occupancy
in log odds as in OctoMap (Hornung et al., Autonomous Robots 2013), rays stepped from voxel to voxel (Amanatides and
Woo, Eurographics 1987). The node's map (sray.mapping.voxel_map) takes one label and its confidence of each point; the
update needs the probabilities of all classes, so the voxels are others.
Reference twin: test/reference/voxel_grid.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from sray.camera import Camera

HIT = math.log(0.7 / 0.3)
"""Log odds that a sighting adds to a voxel's being occupied; OctoMap's."""
LOOKED_THROUGH = math.log(0.4 / 0.6)
"""The same of a view that sees something behind the voxel."""


@dataclass(frozen=True)
class Sighting:
    """What one view says: the pixels that have a depth, as points of the world."""

    points: Float[Tensor, "points 3"]
    """Meters."""
    colors: Float[Tensor, "points 3"]
    """0..1."""
    log_likelihood: Float[Tensor, "points classes"]
    """Of what the picture shows there, if the point is of a class."""


@dataclass(frozen=True)
class RayHits:
    """Which voxel stops each ray."""

    voxel: Int64[Tensor, " rays"]
    """Row of the grid's voxels; -1: none."""
    entry: Float64[Tensor, " rays"]
    """Camera z where the ray enters it, near where it begins inside; NaN where there is none."""
    exit: Float64[Tensor, " rays"]
    """Where it leaves it."""


@dataclass(frozen=True)
class VoxelGrid:
    """Sighted voxels, one row each, and where they are."""

    voxel_size: float
    """Edge, meters. Cell i reaches from i to i + 1 times it."""
    cells: Int64[Tensor, "voxels 3"]
    posterior: Float[Tensor, "voxels classes"]
    """Probability of each class, all being equally likely before."""
    color: Float[Tensor, "voxels 3"]
    """0..1, mean over the sightings."""
    sightings: Int64[Tensor, " voxels"]

    @staticmethod
    def fused(sightings: Sequence[Sighting], voxel_size: float) -> VoxelGrid:
        """All sightings as one grid. A voxel takes of each sighting the mean of the points that fall into it.

        Pixels side by side err alike: counted one by one, a close view would outvote all others.
        """
        cells = [torch.floor(sighting.points.double() / voxel_size).long() for sighting in sightings]
        known, inverse = _unique(torch.cat(cells))
        evidence = sightings[0].log_likelihood.new_zeros(len(known), sightings[0].log_likelihood.shape[1])
        color = evidence.new_zeros(len(known), 3)
        count = torch.zeros(len(known), dtype=torch.long)
        for sighting, rows in zip(sightings, torch.split(inverse, [len(each) for each in cells]), strict=True):
            points = torch.bincount(rows, minlength=len(known)).clamp_min(1).unsqueeze(-1)
            evidence += torch.zeros_like(evidence).index_add(0, rows, sighting.log_likelihood) / points
            color += torch.zeros_like(color).index_add(0, rows, sighting.colors) / points
            count += torch.bincount(rows, minlength=len(known)) > 0
        return VoxelGrid(voxel_size, known, torch.softmax(evidence, -1), color / count.unsqueeze(-1), count)

    def occupied(self, cameras: Camera, depth: Float[Tensor, "views height width"]) -> VoxelGrid:
        """The voxels that are likelier there than not, given what the views measured (camera z, meters; NaN unknown).

        A view looks through a voxel if it measured more than the voxel's diagonal behind its center.
        """
        centers = (self.cells.to(depth) + 0.5) * self.voxel_size
        seen = cameras.project(centers)
        columns, rows = seen.pixels.round().long().unbind(-1)
        columns, rows = columns.clamp(0, cameras.width - 1), rows.clamp(0, cameras.height - 1)
        measured = depth[torch.arange(len(depth)).unsqueeze(-1), rows, columns]
        through = seen.seen & (measured > seen.depth + math.sqrt(3) * self.voxel_size)  # NaN is not
        return self._those(HIT * self.sightings + LOOKED_THROUGH * through.sum(0) > 0)

    def cast(
        self, origin: Float[Tensor, "3"], directions: Float[Tensor, "rays 3"], bounds: tuple[float, float]
    ) -> RayHits:
        """The first voxel on each ray `origin + z * direction`, z within `bounds` (camera z, meters)."""
        rays = len(directions)
        voxel = torch.full((rays,), -1, dtype=torch.long)
        entry, leaving = torch.full((2, rays), torch.nan, dtype=torch.float64).unbind()
        if not len(self.cells):
            return RayHits(voxel, entry, leaving)
        lowest, shape, table = self._table()
        march = _March.begin(origin.double(), directions.double(), bounds, self.voxel_size, lowest, lowest + shape)
        while len(march.ray):
            x, y, z = (march.cell - lowest).unbind(-1)
            found = table[x, y, z]
            hit = found >= 0
            rays_hit = march.ray[hit]
            voxel[rays_hit], entry[rays_hit] = found[hit], march.at[hit]
            leaving[rays_hit] = march.border[hit].amin(-1)
            march = march.those(~hit).stepped(lowest, lowest + shape)
        return RayHits(voxel, entry, leaving)

    def _those(self, kept: Bool[Tensor, " voxels"]) -> VoxelGrid:
        return replace(
            self,
            cells=self.cells[kept],
            posterior=self.posterior[kept],
            color=self.color[kept],
            sightings=self.sightings[kept],
        )

    def _table(self) -> tuple[Tensor, Tensor, Tensor]:
        """The box that holds all voxels (lowest cell and shape), and each cell's row there, -1 where none is."""
        lowest = self.cells.amin(0)
        shape = self.cells.amax(0) - lowest + 1
        table = torch.full(shape.tolist(), -1, dtype=torch.long)
        x, y, z = (self.cells - lowest).unbind(-1)
        table[x, y, z] = torch.arange(len(self.cells))
        return lowest, shape, table


@dataclass(frozen=True)
class _March:
    """Rays on their way through a box of cells, one row each."""

    ray: Int64[Tensor, " going"]
    """Its number."""
    cell: Int64[Tensor, "going 3"]
    at: Float64[Tensor, " going"]
    """Parameter where it entered the cell."""
    border: Float64[Tensor, "going 3"]
    """Parameter where it meets the cell's next border along each axis; infinite along those it does not go."""
    apart: Float64[Tensor, "going 3"]
    """Parameter between two such borders."""
    step: Int64[Tensor, "going 3"]
    end: Float64[Tensor, " going"]

    @staticmethod
    def begin(
        origin: Tensor, directions: Tensor, bounds: tuple[float, float], size: float, lowest: Tensor, beyond: Tensor
    ) -> _March:
        """The rays that meet the box from cell `lowest` to before cell `beyond`, where they enter it."""
        going = directions != 0
        inverse = torch.where(going, 1 / directions, torch.inf)
        low, high = lowest.double() * size, beyond.double() * size  # whole numbers times a float are single precision
        first, last = (low - origin) * inverse, (high - origin) * inverse
        inside = (low <= origin) & (origin < high)
        enter = torch.where(going, torch.minimum(first, last), torch.where(inside, -torch.inf, torch.inf))
        leave = torch.where(going, torch.maximum(first, last), torch.inf)
        at = enter.amax(-1).clamp_min(bounds[0])
        end = leave.amin(-1).clamp_max(bounds[1])
        cell = torch.floor((origin + at.clamp_max(1e6).unsqueeze(-1) * directions) / size).long()
        cell = torch.minimum(torch.maximum(cell, lowest), beyond - 1)  # rounding, at the box's border
        border = torch.where(going, ((cell + (directions > 0)).double() * size - origin) * inverse, torch.inf)
        march = _March(
            torch.arange(len(directions)), cell, at, border, size * inverse.abs(), directions.sign().long(), end
        )
        return march.those(at < end)

    def those(self, kept: Bool[Tensor, " going"]) -> _March:
        parts = (self.ray, self.cell, self.at, self.border, self.apart, self.step, self.end)
        return _March(*(part[kept] for part in parts))

    def stepped(self, lowest: Tensor, beyond: Tensor) -> _March:
        """Each one cell on; without those that leave the box, or come to their end."""
        at, axis = self.border.min(-1)
        crossed = torch.nn.functional.one_hot(axis, 3)
        cell = self.cell + crossed * self.step
        border = torch.where(crossed.bool(), self.border + self.apart, self.border)
        on = replace(self, cell=cell, at=at, border=border)
        return on.those(((lowest <= cell) & (cell < beyond)).all(-1) & (at < self.end))


def _unique(cells: Int64[Tensor, "points 3"]) -> tuple[Int64[Tensor, "voxels 3"], Int64[Tensor, " points"]]:
    """Each cell once, and which one every point is in. By one number a cell: a tenth of the time of unique rows."""
    if not len(cells):  # no depth anywhere
        return cells, cells[:, 0]
    lowest = cells.amin(0)
    shape = cells.amax(0) - lowest + 1
    places = cells - lowest
    numbers = (places[:, 0] * shape[1] + places[:, 1]) * shape[2] + places[:, 2]
    known, inverse = torch.unique(numbers, return_inverse=True)
    rows = torch.stack([known // (shape[1] * shape[2]), known // shape[2] % shape[1], known % shape[2]], dim=-1)
    return rows + lowest, inverse
