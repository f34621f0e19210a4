"""The empty room: its outline, walls with their taken stretches, and a grid of what stands on the floor. Meters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sray_train.data.rooms.scene import Footprint

Rng = np.random.Generator
CELL = 0.05


@dataclass(frozen=True)
class Slot:
    """A rectangle of a wall that something takes: along the wall, and from `low` to `high` above the floor."""

    start: float
    end: float
    low: float
    high: float


@dataclass
class Wall:
    """One straight wall. Its frame has x along it, y out of the room, the origin on the floor at its middle."""

    x: float
    y: float
    yaw: float
    length: float
    slots: list[Slot] = field(default_factory=list)

    def point(self, along: float, inwards: float) -> tuple[float, float]:
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return float(self.x + along * c + inwards * s), float(self.y + along * s - inwards * c)

    def is_clear(self, slot: Slot, margin: float) -> bool:
        return all(
            slot.end + margin < other.start
            or slot.start - margin > other.end
            or slot.high < other.low
            or slot.low > other.high
            for other in self.slots
        )


class FloorPlan:
    """A rectangular or L-shaped room. `occupied` cells cannot be walked on, `kept_clear` ones cannot be built on."""

    def __init__(
        self, rng: Rng, widths: tuple[float, float], depths: tuple[float, float], fullest: float = 0.5
    ) -> None:
        """A room between the smallest and largest width and depth; furniture covers at most `fullest` of its floor."""
        self.width, self.depth = float(rng.uniform(*widths)), float(rng.uniform(*depths))
        self._fullest = fullest
        self.height = float(rng.uniform(2.3, 3.1))
        self.notch = (0.0, 0.0)
        if rng.random() < 0.35 and min(self.width, self.depth) > 3.6:
            self.notch = (float(rng.uniform(0.6, self.width - 2.5)), float(rng.uniform(0.6, self.depth - 2.5)))
        width, depth, (cut_x, cut_y) = self.width, self.depth, self.notch
        corners = [(0.0, 0.0), (width, 0.0), (width, depth), (0.0, depth)]
        self.rectangles = [(0.0, 0.0, width, depth)]
        if cut_x:
            corners[2:3] = [(width, depth - cut_y), (width - cut_x, depth - cut_y), (width - cut_x, depth)]
            self.rectangles = [(0.0, 0.0, width, depth - cut_y), (0.0, depth - cut_y, width - cut_x, depth)]
        self.walls = []
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            length = float(np.hypot(x1 - x0, y1 - y0))
            yaw = float(np.arctan2(y0 - y1, x0 - x1))  # corners run counter-clockwise, so +y then points outwards
            self.walls.append(Wall((x0 + x1) / 2, (y0 + y1) / 2, yaw, length))
        columns, rows = int(np.ceil(width / CELL)), int(np.ceil(depth / CELL))
        self._x, self._y = np.meshgrid((np.arange(columns) + 0.5) * CELL, (np.arange(rows) + 0.5) * CELL, indexing="ij")
        self.inside: NDArray[np.bool_] = (self._x < width) & (self._y < depth)
        if cut_x:
            self.inside &= ~((self._x > width - cut_x) & (self._y > depth - cut_y))
        self.occupied: NDArray[np.bool_] = ~self.inside
        self.kept_clear: NDArray[np.bool_] = np.zeros_like(self.inside)

    def cells(self, footprint: Footprint, margin: float = 0.0) -> NDArray[np.bool_]:
        """The cells a footprint covers, grown by `margin` meters."""
        c, s = np.cos(footprint.yaw), np.sin(footprint.yaw)
        dx, dy = self._x - footprint.x, self._y - footprint.y
        across, along = dx * c + dy * s, dy * c - dx * s
        return np.asarray((abs(across) < footprint.width / 2 + margin) & (abs(along) < footprint.depth / 2 + margin))

    def fits(self, footprint: Footprint) -> bool:
        """Inside the room, on nothing, and leaving enough of the floor free to walk."""
        if not self.contains(footprint):
            return False
        cells = self.cells(footprint, 0.03)
        if (cells & (self.kept_clear | (self.occupied & self.inside))).any():
            return False
        used = (self.occupied & self.inside).sum() + cells.sum()
        return bool(used < self._fullest * self.inside.sum())

    def contains(self, footprint: Footprint) -> bool:
        c, s = np.cos(footprint.yaw), np.sin(footprint.yaw)
        for u in (-0.5, 0, 0.5):
            for v in (-0.5, 0, 0.5):
                x = footprint.x + u * footprint.width * c - v * footprint.depth * s
                y = footprint.y + u * footprint.width * s + v * footprint.depth * c
                if not any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in self.rectangles):
                    return False
        return True

    def take_slot(self, rng: Rng, width: float, low: float, high: float, tries: int = 20) -> tuple[Wall, float] | None:
        """A clear stretch of some wall, `width` wide from `low` to `high`; marks it taken. None if there is none."""
        for _ in range(tries):
            wall = self.walls[rng.integers(len(self.walls))]
            reach = wall.length / 2 - width / 2 - 0.1
            if reach <= 0:
                continue
            along = float(rng.uniform(-reach, reach))
            slot = Slot(along - width / 2, along + width / 2, low, high)
            if wall.is_clear(slot, 0.05) and not (low < 1.0 and self._blocked(wall, along, width)):
                wall.slots.append(slot)
                return wall, along
        return None

    def _blocked(self, wall: Wall, along: float, width: float) -> bool:
        x, y = wall.point(along, 0.2)
        return bool((self.cells(Footprint("", x, y, width, 0.3, wall.yaw, 0, 1)) & self.occupied & self.inside).any())
