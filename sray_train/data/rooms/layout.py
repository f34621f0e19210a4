"""A furnished room from a seed: shell, doors and windows, furniture in groups that belong together, clutter. Metres."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from sray_train.data.rooms import fixtures, furniture, props, seating
from sray_train.data.rooms.floor_plan import CELL, FloorPlan, Slot, Wall
from sray_train.data.rooms.primitives import box, quad
from sray_train.data.rooms.scene import Footprint, Item, Light, Materials, Part, Scene, SceneBuilder, Surface

Rng = np.random.Generator
Builder = Callable[[Rng, Materials], Item]
CLEARANCE = 0.27
"""Metres the camera keeps from what stands on the floor."""

ROOM_KINDS: dict[str, tuple[str, ...]] = {
    "living": ("sofa", "sofa", "cabinet", "bookshelf", "chair", "floor_lamp", "cabinet", "dining"),
    "bedroom": ("bed", "cabinet", "cabinet", "desk", "chair", "floor_lamp", "bookshelf"),
    "twin": ("bed", "bed", "cabinet", "desk", "chair", "floor_lamp"),
    "office": ("desk", "desk", "bookshelf", "cabinet", "floor_lamp", "desk", "sofa", "chair"),
    "dining": ("dining", "cabinet", "cabinet", "bookshelf", "floor_lamp", "sofa"),
    "meeting": ("dining", "dining", "bookshelf", "cabinet", "chair", "chair", "floor_lamp"),
    "studio": ("bed", "sofa", "desk", "cabinet", "dining", "bookshelf", "floor_lamp"),
    "library": ("bookshelf", "bookshelf", "bookshelf", "desk", "sofa", "chair", "floor_lamp"),
}
EXTRAS = ("sofa", "sofa", "chair", "table", "cabinet", "bookshelf", "floor_lamp", "floor_lamp", "desk", "desk", "bed")
LARGE = ("bed", "sofa", "desk")


def furnish(seed: int) -> Scene:
    """The room of a seed. Tries again (with the next stream of the same seed) if no camera could walk in it."""
    for attempt in range(50):
        scene = _Furnisher(np.random.default_rng([seed, 0, attempt])).scene()
        if _walkable(scene):
            return scene
    raise RuntimeError(f"no walkable room for seed {seed} in 50 tries")


def _walkable(scene: Scene) -> bool:
    distance = cv2.distanceTransform(np.pad(scene.free, 1).astype(np.uint8), cv2.DIST_L2, 5) * scene.cell
    count, _, statistics, _ = cv2.connectedComponentsWithStats((distance > CLEARANCE).astype(np.uint8))
    return count > 1 and int(statistics[1:, cv2.CC_STAT_AREA].max()) * scene.cell**2 > 0.8


class _Furnisher:
    """One attempt at one room."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.plan = FloorPlan(rng)
        self.builder = SceneBuilder(rng)
        self.tops: list[tuple[Footprint, Surface]] = []  # what clutter may stand on

    def scene(self) -> Scene:
        self._shell()
        self._doors()
        self._windows()
        kind = str(self.rng.choice(list(ROOM_KINDS)))
        wanted = [name for name in ROOM_KINDS[kind] if self.rng.random() < 0.88]
        wanted += [str(name) for name in self.rng.choice(EXTRAS, int(self.rng.integers(2, 7)))]
        wanted.sort(key=lambda name: name not in LARGE)  # large things first, while there is room for them
        for name in wanted:
            self._group(name)
        self._clutter()
        self._pictures()
        self._ceiling()
        self._rug()
        return self.builder.finish(~self.plan.occupied, CELL, self.plan.height)

    # The empty room

    def _shell(self) -> None:
        rng, plan, materials = self.rng, self.plan, self.builder.materials
        height = plan.height
        main, floor, ceiling = materials.add("wall", gloss=0), materials.add("floor"), materials.add("ceiling", gloss=0)
        accent = materials.add("wall", gloss=0) if rng.random() < 0.35 else main
        accented = int(rng.integers(len(plan.walls)))
        split = rng.uniform(0.8, 1.3) if rng.random() < 0.2 else 0.0  # another material below this height
        lower = materials.add("wall", gloss=0) if split else main
        grounds, covers = [], []
        for x0, y0, x1, y1 in plan.rectangles:
            ground = [[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]]
            cover = [[x0, y1, height], [x1, y1, height], [x1, y0, height], [x0, y0, height]]
            grounds.append(Part(quad(ground, x1 - x0, y1 - y0), floor))
            covers.append(Part(quad(cover, x1 - x0, y1 - y0), ceiling))
        self.builder.add(Item("floor", tuple(grounds)), (0, 0, 0), 0)
        self.builder.add(Item("ceiling", tuple(covers)), (0, 0, 0), 0)
        skirting = (materials.add("hard"), rng.uniform(0.05, 0.14)) if rng.random() < 0.75 else None
        for k, wall in enumerate(plan.walls):
            parts = []
            half = wall.length / 2
            for low, high, material in ((0, split, lower), (split, height, accent if k == accented else main)):
                if high > low:
                    face = [[-half, 0, low], [half, 0, low], [half, 0, high], [-half, 0, high]]
                    parts.append(Part(quad(face, wall.length, high - low), material))
            if skirting:
                parts.append(Part(box(wall.length, 0.015, skirting[1], (0, -0.0075, 0)), skirting[0]))
            self.builder.add(Item("wall", tuple(parts)), (wall.x, wall.y, 0), wall.yaw)
        if rng.random() < 0.25:
            self._pillar(main)

    def _pillar(self, material: int) -> None:
        wall = self.plan.walls[self.rng.integers(len(self.plan.walls))]
        width, depth = self.rng.uniform(0.25, 0.9), self.rng.uniform(0.2, 0.5)
        reach = wall.length / 2 - width / 2
        along = float(self.rng.choice([-reach, reach, self.rng.uniform(-reach, reach)]))
        x, y = wall.point(along, depth / 2 + 0.001)
        wall.slots.append(Slot(along - width / 2, along + width / 2, 0, self.plan.height))
        pillar = Item("wall", (Part(box(width, depth, self.plan.height), material),))
        self._stand(pillar, Footprint("wall", x, y, width, depth, wall.yaw, 0, self.plan.height))

    def _doors(self) -> None:
        rng = self.rng
        for _ in range(int(rng.integers(1, 4))):
            width = rng.uniform(0.7, 1.0) if rng.random() < 0.85 else rng.uniform(1.2, 1.7)
            height = rng.uniform(1.92, 2.15)
            found = self.plan.take_slot(rng, width + 0.2, 0, height)
            if found:
                wall, along = found
                x, y = wall.point(along, 0)
                self.builder.add(fixtures.door(rng, self.builder.materials, width, height), (x, y, 0), wall.yaw)
                x, y = wall.point(along, 0.4)
                self.plan.kept_clear |= self.plan.cells(Footprint("door", x, y, width, 0.8, wall.yaw, 0, height))

    def _windows(self) -> None:
        rng, materials, ceiling = self.rng, self.builder.materials, self.plan.height
        for _ in range(int(rng.integers(1, 4))):
            floor_length = rng.random() < 0.12
            sill = 0.08 if floor_length else float(rng.uniform(0.7, 1.05))
            width = float(rng.uniform(0.6, 2.0))
            height = min(1.95 if floor_length else float(rng.uniform(0.7, 1.45)), ceiling - sill - 0.25)
            found = self.plan.take_slot(rng, width + 0.3, sill, sill + height)
            if not found:
                continue
            wall, along = found
            x, y = wall.point(along, 0)
            self.builder.add(fixtures.window(rng, materials, width, height, sill), (x, y, 0), wall.yaw)
            if rng.random() < 0.6:
                self._curtains(wall, along, width, sill, min(sill + height + rng.uniform(0.08, 0.2), ceiling - 0.05))
        if rng.random() < 0.12:  # a curtain before a bare wall
            width = float(rng.uniform(0.6, 1.6))
            found = self.plan.take_slot(rng, width, 0, 2.2)
            if found:
                self._curtains(found[0], found[1], width, 0.1, min(2.2, ceiling - 0.05))

    def _curtains(self, wall: Wall, along: float, width: float, sill: float, top: float) -> None:
        half = width / 2 + 0.35
        half = min(half, wall.length / 2 - abs(along))
        slot = Slot(along - half, along + half, sill, top)
        for other in wall.slots:  # stay off neighbours, such as a door beside the window
            if other.low < slot.high and not other.start <= along <= other.end:
                gap = other.start - along if other.start > along else along - other.end
                half = min(half, gap)
        x, y = wall.point(along, 0)
        for item in fixtures.curtains(self.rng, self.builder.materials, width, top, sill, half):
            self.builder.add(item, (x, y, 0), wall.yaw)
            low, high = item.bounds()
            start, end = along + float(low[0]), along + float(high[0])
            wall.slots.append(Slot(start, end, float(low[2]), float(high[2])))
            if low[2] < 1.0:  # furniture stays in front of cloth that hangs low
                centre = wall.point((start + end) / 2, 0.13)
                cloth = Footprint("curtain", *centre, end - start, 0.26, wall.yaw, float(low[2]), float(high[2]))
                self.plan.occupied |= self.plan.cells(cloth)

    # Furniture

    def _stand(self, item: Item, footprint: Footprint) -> None:
        self.builder.add(item, (footprint.x, footprint.y, footprint.bottom), footprint.yaw)
        self.builder.footprints.append(footprint)
        if footprint.bottom == 0:
            self.plan.occupied |= self.plan.cells(footprint)
        if item.surface and item.surface.height < 1.45:
            self.tops.append((footprint, item.surface))

    def _footprint(self, item: Item, x: float, y: float, yaw: float, bottom: float = 0.0) -> Footprint:
        low, high = item.bounds()
        size = high - low
        return Footprint(item.label, x, y, float(size[0]), float(size[1]), yaw, bottom, bottom + float(high[2]))

    def _at_wall(self, builder: Builder, tries: int = 25) -> Footprint | None:
        """Stand something with its back to a wall, clear of doors and, if it is high, of windows."""
        item = self.builder.make(builder)
        for _ in range(tries):
            wall = self.plan.walls[self.rng.integers(len(self.plan.walls))]
            probe = self._footprint(item, 0, 0, wall.yaw)
            reach = wall.length / 2 - probe.width / 2 - 0.02
            if reach < 0:
                continue
            draw = self.rng.random()
            along = float(reach * (1 if draw < 0.2 else -1 if draw < 0.4 else self.rng.uniform(-1, 1)))
            gap = probe.depth / 2 + float(self.rng.uniform(0.02, 0.07))
            footprint = self._footprint(item, *wall.point(along, gap), wall.yaw)
            slot = Slot(along - probe.width / 2, along + probe.width / 2, 0, probe.top)
            if wall.is_clear(slot, 0) and self.plan.fits(footprint):
                wall.slots.append(slot)
                self._stand(item, footprint)
                return footprint
        return None

    def _at(self, builder: Builder, x: float, y: float, yaw: float) -> Footprint | None:
        item = self.builder.make(builder)
        footprint = self._footprint(item, x, y, yaw)
        if not self.plan.fits(footprint):
            return None
        self._stand(item, footprint)
        return footprint

    def _anywhere(self, builder: Builder, tries: int = 15) -> Footprint | None:
        item = self.builder.make(builder)
        for _ in range(tries):
            x, y = self.rng.uniform([0.4, 0.4], [self.plan.width - 0.4, self.plan.depth - 0.4])
            yaw = float(self.rng.integers(4) * np.pi / 2 + self.rng.normal(0, 0.15))
            footprint = self._footprint(item, float(x), float(y), yaw)
            if self.plan.fits(footprint):
                self._stand(item, footprint)
                return footprint
        return None

    def _beside(self, main: Footprint, builder: Builder, across: float, ahead: float, yaw: float) -> Footprint | None:
        """Stand something at an offset in the frame of another thing (`ahead` towards its front)."""
        c, s = np.cos(main.yaw), np.sin(main.yaw)
        x, y = main.x + across * c + ahead * s, main.y + across * s - ahead * c
        return self._at(builder, float(x), float(y), main.yaw + yaw)

    def _group(self, name: str) -> None:
        rng = self.rng
        if name == "sofa":
            main = self._at_wall(seating.sofa) if rng.random() < 0.8 else self._anywhere(seating.sofa)
            if main and rng.random() < 0.75:
                ahead = main.depth / 2 + rng.uniform(0.6, 0.85)
                low = self._beside(main, furniture.coffee_table, rng.normal(0, 0.1), ahead, rng.choice([0, np.pi / 2]))
                if low and rng.random() < 0.5:
                    opposite = seating.sofa if rng.random() < 0.3 else seating.chair
                    self._beside(main, opposite, rng.uniform(-0.4, 0.4), ahead + 0.9, np.pi + rng.normal(0, 0.2))
            if main and rng.random() < 0.35:
                side = float(rng.choice([-1, 1])) * (main.width / 2 + 0.25)
                self._beside(main, props.floor_lamp, side, 0, 0)
        elif name == "bed":
            main = self._at_wall(seating.bed)
            for side in (-1, 1):
                if main and rng.random() < 0.6:
                    across = side * (main.width / 2 + rng.uniform(0.26, 0.34))
                    self._beside(main, furniture.nightstand, across, -main.depth / 2 + 0.32, 0)
        elif name == "desk":
            main = self._at_wall(furniture.desk) if rng.random() < 0.8 else self._anywhere(furniture.desk)
            if main and rng.random() < 0.9:
                ahead = main.depth / 2 + rng.uniform(0.3, 0.5)
                turn = np.pi + (rng.normal(0, 0.3) if rng.random() < 0.8 else rng.uniform(-3, 3))
                self._beside(main, seating.chair, rng.uniform(-0.15, 0.15), ahead, turn)
        elif name in ("table", "dining"):
            main = self._anywhere(furniture.table) if rng.random() < 0.75 else self._at_wall(furniture.table)
            self._chairs_around(main, 6 if name == "dining" else 2)
        elif name == "chair":
            self._at_wall(seating.chair) if rng.random() < 0.45 else self._anywhere(seating.chair)
        elif name == "cabinet":
            self._at_wall(furniture.cabinet)
        elif name == "bookshelf":
            self._at_wall(furniture.bookshelf)
        else:
            self._at_wall(props.floor_lamp) if rng.random() < 0.7 else self._anywhere(props.floor_lamp)

    def _chairs_around(self, main: Footprint | None, most: int) -> None:
        if not main:
            return
        state = int(self.rng.integers(2**31))  # the chairs of one table are of one make
        alike = self.rng.random() < 0.8
        materials_from: Builder = seating.chair
        places = []
        for side in (0, 1):
            count = 2 if main.width > 1.2 else 1
            for k in range(count):
                across = (k + 0.5) / count * main.width - main.width / 2
                places.append((across, (1 - 2 * side) * (main.depth / 2 + 0.32), np.pi * (1 - side)))
        places += [(main.width / 2 + 0.32, 0.0, -np.pi / 2), (-main.width / 2 - 0.32, 0.0, np.pi / 2)]
        chosen = self.rng.permutation(len(places))[: int(self.rng.integers(1, most + 1))]
        for index in chosen:
            across, ahead, yaw = places[index]
            build: Builder = (lambda _, m: seating.chair(np.random.default_rng(state), m)) if alike else materials_from
            self._beside(main, build, across, ahead, yaw + float(self.rng.normal(0, 0.12)))

    # Small things

    def _clutter(self) -> None:
        rng, builder = self.rng, self.builder
        for below, surface in self.tops:
            taken: list[Footprint] = []
            for _ in range(int(rng.integers(0, 5)) + int(below.label == "desk")):
                item = builder.make(props.table_lamp if rng.random() < 0.25 else props.clutter)
                low, high = item.bounds()
                size = high - low
                reach = (np.array([surface.width, surface.depth]) - size[:2]) / 2 - 0.02
                if (reach <= 0).any() or surface.height + size[2] > self.plan.height - 0.3:
                    continue
                u, v = rng.uniform(-reach, reach) + [surface.x, surface.y]
                c, s = np.cos(below.yaw), np.sin(below.yaw)
                x, y = float(below.x + u * c - v * s), float(below.y + u * s + v * c)
                here = self._footprint(item, x, y, below.yaw, surface.height)
                cells = self.plan.cells(here)
                if any((cells & self.plan.cells(other)).any() for other in taken):
                    continue
                taken.append(here)
                self._stand(item, here)
        for _ in range(int(rng.integers(0, 5))):
            self._anywhere(props.clutter, 3)

    def _pictures(self) -> None:
        rng = self.rng
        for _ in range(int(rng.integers(1, 7))):
            width, height = float(rng.uniform(0.2, 1.1)), float(rng.uniform(0.2, 0.85))
            bottom = float(rng.uniform(1.1, 1.65))
            if bottom + height > self.plan.height - 0.1:
                continue
            found = self.plan.take_slot(rng, width + 0.08, bottom, bottom + height)
            if found:
                item = fixtures.picture(rng, self.builder.materials, width, height, bottom)
                self.builder.add(item, (*found[0].point(found[1], 0), 0), found[0].yaw)

    def _ceiling(self) -> None:
        rng, plan, builder = self.rng, self.plan, self.builder
        x0, y0, x1, y1 = plan.rectangles[0]
        at = (float(x0 + (x1 - x0) * rng.uniform(0.3, 0.7)), float(y0 + (y1 - y0) * rng.uniform(0.3, 0.7)))
        if rng.random() < 0.55:
            builder.add(builder.make(props.ceiling_lamp), (*at, plan.height), float(rng.uniform(0, np.pi)))
        if not builder.lights or rng.random() < 0.6:
            warm = np.array([1, rng.uniform(0.85, 1), rng.uniform(0.7, 1)])
            builder.lights.append(
                Light(
                    np.array([*at, plan.height - 0.03], np.float32),
                    np.array([rng.uniform(0.2, 0.6), 0, 0], np.float32),
                    np.array([0, rng.uniform(0.2, 0.6), 0], np.float32),
                    np.array([0, 0, -1], np.float32),
                    (rng.uniform(2, 7) * warm).astype(np.float32),
                )
            )
        if rng.random() < 0.15:  # beams
            width, depth, beam = x1 - x0, rng.uniform(0.1, 0.2), builder.materials.add("hard")
            for y in np.linspace(y0 + 0.6, y1 - 0.6, int(rng.integers(2, 5))):
                part = Part(box(width, 0.12, depth), beam)
                builder.add(Item("ceiling", (part,)), (float(x0 + width / 2), float(y), plan.height - depth), 0)

    def _rug(self) -> None:
        """A rug is floor: NYU40's floor mat is not a class of the rooms, and nothing else would be right."""
        rng, plan = self.rng, self.plan
        if rng.random() > 0.5:
            return
        x0, y0, x1, y1 = plan.rectangles[0]
        width, depth = min(rng.uniform(1.1, 2.6), x1 - x0 - 0.2), min(rng.uniform(0.8, 1.8), y1 - y0 - 0.2)
        material = self.builder.materials.add("soft", tile=float(rng.uniform(0.6, 2)))
        x = float(rng.uniform(x0 + width / 2 + 0.1, max(x1 - width / 2 - 0.1, x0 + width / 2 + 0.11)))
        y = float(rng.uniform(y0 + depth / 2 + 0.1, max(y1 - depth / 2 - 0.1, y0 + depth / 2 + 0.11)))
        self.builder.add(Item("floor", (Part(box(width, depth, 0.01), material),)), (x, y, 0), 0)
