"""What makes a furnished room a home: things on every surface, pictures, mirrors, rugs, lamps above. Meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms import clutter, fixtures, lamps, wet_rooms
from sray_train.data.rooms.placement import Builder, RoomInProgress
from sray_train.data.rooms.primitives import box
from sray_train.data.rooms.scene import Footprint, Item, Light, Part, Surface
from sray_train.data.rooms.shell import WET


def decorate(room: RoomInProgress) -> None:
    """In this order: what is on walls and ceiling must not depend on how much clutter there is."""
    _pictures(room)
    _ceiling(room)
    _clutter(room)
    _rug(room)


def _things_for(room: RoomInProgress, below: Footprint, surface: Surface) -> tuple[tuple[Builder, ...], float]:
    """What may stand on a surface, and how many a square meter of it in a usual home."""
    if room.kind == "bathroom":
        return wet_rooms.bathroom_things(), 14.0
    if below.label == "counter":
        return wet_rooms.kitchen_things(), 7.0
    if below.label in ("bookshelf", "shelves") and surface.headroom < 1:
        return clutter.IN_SHELVES, 16.0
    if below.label == "bed":
        return clutter.ON_BEDS, 0.5
    if below.label == "desk":
        return clutter.ON_DESKS, 8.0
    if below.label in ("cabinet", "dresser", "night stand", "refrigerator", "bookshelf", "shelves"):
        return (*clutter.ON_CABINETS, lamps.table_lamp), 8.0
    return (*clutter.ON_TABLES, lamps.table_lamp), 5.0


def _clutter(room: RoomInProgress) -> None:
    rng = room.rng
    for below, surface in room.tops:
        builders, density = _things_for(room, below, surface)
        count = min(int(rng.poisson(density * surface.width * surface.depth * room.clutter)), 14)
        room.put_on(below, surface, builders, count)
    on_floor = 1.2 if room.kind == "bathroom" else 4.0
    for _ in range(min(int(rng.poisson(on_floor * room.clutter)), 10)):
        builder = clutter.ON_FLOORS[rng.integers(len(clutter.ON_FLOORS))]
        room.at_wall(builder, 6) if rng.random() < 0.6 else room.anywhere(builder, 4, askew=True)


def _pictures(room: RoomInProgress) -> None:
    rng, materials = room.rng, room.builder.materials
    office = room.kind in ("office", "meeting", "library")
    for _ in range(int(rng.integers(0, 3)) if room.kind in WET else int(rng.integers(1, 7))):
        width, height = float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.2, 0.8))
        bottom = float(rng.uniform(1.15, 1.6))
        builder = fixtures.picture
        if office and rng.random() < 0.3:
            builder, width, height, bottom = fixtures.whiteboard, float(rng.uniform(0.9, 1.8)), 0.95, 0.9
        elif rng.random() < 0.12:
            builder = fixtures.mirror
            if rng.random() < 0.4:  # to see oneself from head to foot
                width, height, bottom = float(rng.uniform(0.35, 0.6)), float(rng.uniform(1.2, 1.6)), 0.3
        if bottom + height > room.plan.height - 0.1:
            continue
        found = room.plan.take_slot(rng, width + 0.08, bottom, bottom + height)
        if found:
            item = builder(rng, materials, width, height, bottom)
            room.builder.add(item, (*found[0].point(found[1], 0), 0), found[0].yaw)
    if rng.random() < 0.12 and room.kind not in WET:
        wall = room.plan.walls[rng.integers(len(room.plan.walls))]
        item = lamps.wall_lamp(rng, materials, float(rng.uniform(1.5, 1.8)))
        room.hang(item, wall, float(rng.uniform(-0.4, 0.4)) * wall.length, 0.05)


def _ceiling(room: RoomInProgress) -> None:
    """Lamps in the middle of the room or a grid of spots, an unseen light if it would be dark, beams."""
    rng, plan, builder = room.rng, room.plan, room.builder
    x0, y0, x1, y1 = plan.rectangles[0]
    at = (float(x0 + (x1 - x0) * rng.uniform(0.3, 0.7)), float(y0 + (y1 - y0) * rng.uniform(0.3, 0.7)))
    draw = rng.random()
    if draw < 0.55:
        for _ in range(1 if rng.random() < 0.8 else 2):
            builder.add(builder.make(lamps.ceiling_lamp), (*at, plan.height), float(rng.uniform(0, np.pi)))
            at = (float(x0 + (x1 - x0) * rng.uniform(0.15, 0.85)), float(y0 + (y1 - y0) * rng.uniform(0.15, 0.85)))
    elif draw < 0.72:
        columns, rows = (max(1, round((end - start) / 1.5)) for start, end in ((x0, x1), (y0, y1)))
        lamp = builder.make(lamps.spot)
        for k in range(min(columns, 3)):
            for row in range(min(rows, 2)):
                place = (x0 + (k + 0.5) / min(columns, 3) * (x1 - x0), y0 + (row + 0.5) / min(rows, 2) * (y1 - y0))
                builder.add(lamp, (float(place[0]), float(place[1]), plan.height), 0)
    if not builder.lights or rng.random() < (0.35 if room.day > 0.4 else 0.6):
        warm = np.array([1, rng.uniform(0.85, 1), rng.uniform(0.65, 1)])
        builder.lights.append(
            Light(
                np.array([*at, plan.height - 0.03], np.float32),
                np.array([rng.uniform(0.2, 0.6), 0, 0], np.float32),
                np.array([0, rng.uniform(0.2, 0.6), 0], np.float32),
                np.array([0, 0, -1], np.float32),
                (rng.uniform(2, 7) * warm).astype(np.float32),
            )
        )
    if rng.random() < 0.08:  # beams
        width, depth, beam = x1 - x0, rng.uniform(0.1, 0.2), builder.materials.add("hard")
        for y in np.linspace(y0 + 0.6, y1 - 0.6, int(rng.integers(2, 5))):
            part = Part(box(width, 0.12, depth), beam)
            builder.add(Item("ceiling", (part,)), (float(x0 + width / 2), float(y), plan.height - depth), 0)


def _rug(room: RoomInProgress) -> None:
    """A rug or mat, flat on the floor; furniture stands on it."""
    rng, plan = room.rng, room.plan
    small = room.kind in WET
    if rng.random() > 0.55:
        return
    x0, y0, x1, y1 = plan.rectangles[0]
    width = min(rng.uniform(0.5, 1.0) if small else rng.uniform(1.1, 3.0), x1 - x0 - 0.2)
    depth = min(rng.uniform(0.4, 0.7) if small else rng.uniform(0.8, 2.2), y1 - y0 - 0.2)
    material = room.builder.materials.add("rug", tile=float(rng.uniform(0.6, 2)), gloss=0)
    x = float(rng.uniform(x0 + width / 2 + 0.1, max(x1 - width / 2 - 0.1, x0 + width / 2 + 0.11)))
    y = float(rng.uniform(y0 + depth / 2 + 0.1, max(y1 - depth / 2 - 0.1, y0 + depth / 2 + 0.11)))
    mat = Part(box(width, depth, 0.01), material, (width, depth))
    room.builder.add(Item("floor mat", (mat,)), (x, y, 0), 0)
