"""A room while it is furnished: what stands where, and the ways to put one thing more. Meters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sray_train.data.rooms.floor_plan import FloorPlan, Slot, Wall
from sray_train.data.rooms.scene import Footprint, Item, Materials, SceneBuilder, Surface

Rng = np.random.Generator
Builder = Callable[[Rng, Materials], Item]
HIGHEST_TOP = 2.0
"""Nothing is put on surfaces above this."""


class RoomInProgress:
    """Floor plan, things and lights so far. A method that places a thing says where, or None if it found no place."""

    def __init__(self, rng: Rng, kind: str, plan: FloorPlan) -> None:
        self.rng = rng
        self.kind = kind
        self.plan = plan
        self.builder = SceneBuilder(rng)
        self.tops: list[tuple[Footprint, Surface]] = []
        """What small things may stand on."""
        self.day = float(rng.uniform(0.5, 1.6)) if rng.random() < 0.72 else float(rng.choice([0.02, 0.15]))
        """How bright it is outside."""
        self.clutter = float(rng.gamma(2.5, 0.4))
        """Factor on how much lies about: 1 is usual."""

    def stand(self, item: Item, footprint: Footprint) -> None:
        self.builder.add(item, (footprint.x, footprint.y, footprint.bottom), footprint.yaw)
        self.builder.footprints.append(footprint)
        if footprint.bottom == 0:
            self.plan.occupied |= self.plan.cells(footprint)
            self.tops += [(footprint, each) for each in item.surfaces if each.height < HIGHEST_TOP]

    def footprint(self, item: Item, x: float, y: float, yaw: float, bottom: float = 0.0) -> Footprint:
        low, high = item.bounds()
        size = high - low
        return Footprint(item.label, x, y, float(size[0]), float(size[1]), yaw, bottom, bottom + float(high[2]))

    def at_wall(self, builder: Builder, tries: int = 25) -> Footprint | None:
        """Stand something with its back to a wall, clear of doors and, if it is high, of windows."""
        item = self.builder.make(builder)
        for _ in range(tries):
            wall = self.plan.walls[self.rng.integers(len(self.plan.walls))]
            reach = wall.length / 2 - self.footprint(item, 0, 0, wall.yaw).width / 2 - 0.02
            if reach < 0:
                continue
            draw = self.rng.random()
            along = float(reach * (1 if draw < 0.2 else -1 if draw < 0.4 else self.rng.uniform(-1, 1)))
            if placed := self.along_wall(item, wall, along, float(self.rng.uniform(0.02, 0.07))):
                return placed
        return None

    def along_wall(self, item: Item, wall: Wall, along: float, gap: float = 0.005) -> Footprint | None:
        """Stand an item (centered) with its back `gap` from one place of a wall, if that is free."""
        probe = self.footprint(item, 0, 0, wall.yaw)
        footprint = self.footprint(item, *wall.point(along, probe.depth / 2 + gap), wall.yaw)
        slot = Slot(along - probe.width / 2, along + probe.width / 2, 0, probe.top)
        if not wall.is_clear(slot, 0) or not self.plan.fits(footprint):
            return None
        wall.slots.append(slot)
        self.stand(item, footprint)
        return footprint

    def at(self, builder: Builder, x: float, y: float, yaw: float) -> Footprint | None:
        item = self.builder.make(builder)
        footprint = self.footprint(item, x, y, yaw)
        if not self.plan.fits(footprint):
            return None
        self.stand(item, footprint)
        return footprint

    def anywhere(self, builder: Builder, tries: int = 15, *, askew: bool = False) -> Footprint | None:
        """Stand something on the free floor, square with the room or, `askew`, at any angle."""
        item = self.builder.make(builder)
        for _ in range(tries):
            x, y = self.rng.uniform([0.3, 0.3], [self.plan.width - 0.3, self.plan.depth - 0.3])
            turn = self.rng.uniform(0, 2 * np.pi) if askew else self.rng.normal(0, 0.15)
            yaw = float(self.rng.integers(4) * np.pi / 2 + turn)
            footprint = self.footprint(item, float(x), float(y), yaw)
            if self.plan.fits(footprint):
                self.stand(item, footprint)
                return footprint
        return None

    def beside(self, main: Footprint, builder: Builder, across: float, ahead: float, yaw: float) -> Footprint | None:
        """Stand something at an offset in the frame of another thing (`ahead` towards its front)."""
        c, s = np.cos(main.yaw), np.sin(main.yaw)
        x, y = main.x + across * c + ahead * s, main.y + across * s - ahead * c
        return self.at(builder, float(x), float(y), main.yaw + yaw)

    def wall_behind(self, thing: Footprint) -> tuple[Wall, float] | None:
        """The wall that a thing has its back to, and where along it; None if none is within 15 cm."""
        for wall in self.plan.walls:
            c, s = np.cos(wall.yaw), np.sin(wall.yaw)
            dx, dy = thing.x - wall.x, thing.y - wall.y
            along, inwards = dx * c + dy * s, dx * s - dy * c
            turned = abs((thing.yaw - wall.yaw + np.pi) % (2 * np.pi) - np.pi)
            if turned < 0.01 and 0 < inwards - thing.depth / 2 < 0.15 and abs(along) < wall.length / 2:
                return wall, float(along)
        return None

    def hang(self, item: Item, wall: Wall, along: float, margin: float = 0.0) -> bool:
        """Fix an item (wall surface at y = 0) to a wall, if it overlaps nothing there."""
        low, high = item.bounds()
        start, end = along + float(low[0]), along + float(high[0])
        slot = Slot(start, end, float(low[2]), float(high[2]))
        if max(-start, end) > wall.length / 2 or slot.high > self.plan.height or not wall.is_clear(slot, margin):
            return False
        wall.slots.append(slot)
        self.builder.add(item, (*wall.point(along, 0), 0), wall.yaw)
        return True

    def put_on(self, below: Footprint, surface: Surface, builders: tuple[Builder, ...], count: int) -> list[Footprint]:
        """Stand up to `count` small things on a surface, apart from each other, each turned a little or a lot."""
        rng = self.rng
        taken: list[tuple[float, float, float, float]] = []
        placed = []
        c, s = np.cos(below.yaw), np.sin(below.yaw)
        for _ in range(count):
            turn = float(rng.normal(0, 0.2)) if rng.random() < 0.7 else float(rng.uniform(0, 2 * np.pi))
            item = self.builder.make(builders[rng.integers(len(builders))]).turned(turn).centered()
            low, high = item.bounds()
            size = high - low
            reach = (np.array([surface.width, surface.depth]) - size[:2]) / 2 - 0.01
            top = surface.height + float(high[2])
            if (reach < 0).any() or high[2] > surface.headroom - 0.01 or top > self.plan.height - 0.25:
                continue
            for _ in range(4):
                u, v = (float(value) for value in rng.uniform(-reach, reach) + [surface.x, surface.y])
                half_u, half_v = float(size[0]) / 2 + 0.005, float(size[1]) / 2 + 0.005
                if any(abs(u - a) < half_u + b and abs(v - p) < half_v + q for a, p, b, q in taken):
                    continue
                taken.append((u, v, half_u, half_v))
                x, y = float(below.x + u * c - v * s), float(below.y + u * s + v * c)
                here = self.footprint(item, x, y, below.yaw, surface.height)
                self.stand(replace(item, surfaces=()), here)
                placed.append(here)
                break
        return placed
