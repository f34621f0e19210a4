"""The empty room: floor, ceiling, walls, pillars, doors, windows with their curtains. Meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms import fixtures
from sray_train.data.rooms.floor_plan import Slot, Wall
from sray_train.data.rooms.placement import RoomInProgress
from sray_train.data.rooms.primitives import box, quad
from sray_train.data.rooms.scene import Footprint, Item, Light, Part

WET = ("kitchen", "bathroom")
"""Kinds of rooms with tiles on walls and floor."""


def build_shell(room: RoomInProgress) -> None:
    """Everything that is there before the furniture."""
    _surfaces(room)
    _doors(room)
    _windows(room)


def _surfaces(room: RoomInProgress) -> None:
    rng, plan, materials = room.rng, room.plan, room.builder.materials
    height, wet = plan.height, room.kind in WET
    main, ceiling = materials.add("wall", gloss=0), materials.add("ceiling", gloss=0)
    floor = materials.add("wet floor" if wet and rng.random() < 0.9 else "floor")
    accent = materials.add("wall", gloss=0) if rng.random() < 0.25 else main
    accented = int(rng.integers(len(plan.walls)))
    split = rng.uniform(0.8, 1.3) if rng.random() < 0.15 else 0.0  # another material below this height
    if room.kind == "bathroom" and rng.random() < 0.75:
        split = float(rng.choice([1.25, 2.0, height]))
    lower = materials.add("wet wall" if wet else "wall", gloss=0.05 if wet else 0) if split else main
    grounds, covers = [], []
    for x0, y0, x1, y1 in plan.rectangles:
        ground = [[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]]
        cover = [[x0, y1, height], [x1, y1, height], [x1, y0, height], [x0, y0, height]]
        grounds.append(Part(quad(ground, x1 - x0, y1 - y0), floor))
        covers.append(Part(quad(cover, x1 - x0, y1 - y0), ceiling))
    room.builder.add(Item("floor", tuple(grounds)), (0, 0, 0), 0)
    room.builder.add(Item("ceiling", tuple(covers)), (0, 0, 0), 0)
    skirting = (materials.shared("trim"), rng.uniform(0.05, 0.14)) if rng.random() < 0.8 and not wet else None
    cornice = (materials.shared("trim"), rng.uniform(0.05, 0.12)) if rng.random() < 0.2 else None
    for k, wall in enumerate(plan.walls):
        parts = []
        half = wall.length / 2
        for low, high, material in ((0, split, lower), (split, height, accent if k == accented else main)):
            if high > low:
                face = [[-half, 0, low], [half, 0, low], [half, 0, high], [-half, 0, high]]
                parts.append(Part(quad(face, wall.length, high - low), material))
        if skirting:
            parts.append(Part(box(wall.length, 0.015, skirting[1], (0, -0.0075, 0)), skirting[0]))
        if cornice:
            rise = cornice[1]
            parts.append(Part(box(wall.length, rise, rise, (0, -rise / 2, height - rise)), cornice[0]))
        room.builder.add(Item("wall", tuple(parts)), (wall.x, wall.y, 0), wall.yaw)
    if rng.random() < 0.15 and room.kind != "bathroom":
        _pillar(room, main)


def _pillar(room: RoomInProgress, material: int) -> None:
    rng, plan = room.rng, room.plan
    wall = plan.walls[rng.integers(len(plan.walls))]
    width, depth = rng.uniform(0.25, 0.9), rng.uniform(0.2, 0.5)
    reach = wall.length / 2 - width / 2
    along = float(rng.choice([-reach, reach, rng.uniform(-reach, reach)]))
    x, y = wall.point(along, depth / 2 + 0.001)
    wall.slots.append(Slot(along - width / 2, along + width / 2, 0, plan.height))
    pillar = Item("wall", (Part(box(width, depth, plan.height), material),))
    room.stand(pillar, Footprint("wall", x, y, width, depth, wall.yaw, 0, plan.height))


def _doors(room: RoomInProgress) -> None:
    rng, plan = room.rng, room.plan
    for _ in range(1 if room.kind == "bathroom" else int(rng.choice([1, 1, 2, 2, 3]))):
        width = rng.uniform(0.7, 1.0) if rng.random() < 0.88 else rng.uniform(1.2, 1.7)
        height = rng.uniform(1.95, 2.15)
        found = plan.take_slot(rng, width + 0.2, 0, height)
        if found:
            wall, along = found
            x, y = wall.point(along, 0)
            room.builder.add(fixtures.door(rng, room.builder.materials, width, height), (x, y, 0), wall.yaw)
            x, y = wall.point(along, 0.4)
            plan.kept_clear |= plan.cells(Footprint("door", x, y, width, 0.8, wall.yaw, 0, height))


def _windows(room: RoomInProgress) -> None:
    rng, materials, ceiling = room.rng, room.builder.materials, room.plan.height
    wet = room.kind in WET
    walls = []
    for _ in range(int(rng.choice([0, 1, 1])) if room.kind == "bathroom" else int(rng.choice([0, 0, 1, 1, 1, 2, 2]))):
        floor_length = rng.random() < 0.12 and not wet
        sill = 0.08 if floor_length else float(rng.uniform(1.06, 1.25) if wet else rng.uniform(0.6, 1.05))
        width = float(rng.uniform(0.5, 1.2) if wet else rng.uniform(0.6, 2.2))
        height = min(1.95 if floor_length else float(rng.uniform(0.8, 1.5)), ceiling - sill - 0.2)
        found = room.plan.take_slot(rng, width + 0.3, sill, sill + height)
        if not found:
            continue
        wall, along = found
        walls.append(wall)
        x, y = wall.point(along, 0)
        room.builder.add(fixtures.window(rng, materials, width, height, sill, room.day), (x, y, 0), wall.yaw)
        if rng.random() < (0.15 if wet else 0.4):
            _curtains(room, wall, along, width, sill, min(sill + height + rng.uniform(0.08, 0.2), ceiling - 0.05))
    if walls and room.day > 0.5 and rng.random() < 0.4:
        room.builder.sun = _sun(room, walls[0])
    if rng.random() < 0.06 and not wet:  # a curtain before a bare wall
        width = float(rng.uniform(0.6, 1.6))
        found = room.plan.take_slot(rng, width, 0, 2.2)
        if found:
            _curtains(room, found[0], found[1], width, 0.1, min(2.2, ceiling - 0.05))


def _sun(room: RoomInProgress, wall: Wall) -> Light:
    """A low or high sun that shines through the windows of a wall."""
    rng = room.rng
    turn, rise = rng.uniform(-1.0, 1.0), rng.uniform(0.3, 0.95)
    c, s = np.cos(wall.yaw + turn), np.sin(wall.yaw + turn)
    towards = np.array([-s * np.cos(rise), c * np.cos(rise), np.sin(rise)])
    nowhere = np.zeros(3, np.float32)
    strength = rng.uniform(2.5, 7) * np.array([1.0, rng.uniform(0.85, 0.97), rng.uniform(0.65, 0.9)])
    return Light(nowhere, nowhere, nowhere, towards.astype(np.float32), strength.astype(np.float32))


def _curtains(room: RoomInProgress, wall: Wall, along: float, width: float, sill: float, top: float) -> None:
    half = min(width / 2 + 0.35, wall.length / 2 - abs(along))
    slot = Slot(along - half, along + half, sill, top)
    for other in wall.slots:  # stay off neighbors, such as a door beside the window
        if other.low < slot.high and not other.start <= along <= other.end:
            gap = other.start - along if other.start > along else along - other.end
            half = min(half, gap)
    x, y = wall.point(along, 0)
    for item in fixtures.curtains(room.rng, room.builder.materials, width, top, sill, half):
        room.builder.add(item, (x, y, 0), wall.yaw)
        low, high = item.bounds()
        start, end = along + float(low[0]), along + float(high[0])
        wall.slots.append(Slot(start, end, float(low[2]), float(high[2])))
        if low[2] < 1.0:  # furniture stays in front of cloth that hangs low
            center = wall.point((start + end) / 2, 0.13)
            cloth = Footprint("curtain", *center, end - start, 0.26, wall.yaw, float(low[2]), float(high[2]))
            room.plan.occupied |= room.plan.cells(cloth)
