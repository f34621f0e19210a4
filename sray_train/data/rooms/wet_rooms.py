"""How kitchens and bathrooms are laid out: counters along walls and round a corner, tub and toilet by walls. Meters."""

from __future__ import annotations

import numpy as np

from sray_train.data.rooms import bathroom, clutter, fixtures, kitchen, lamps, seating
from sray_train.data.rooms.floor_plan import Wall
from sray_train.data.rooms.placement import RoomInProgress
from sray_train.data.rooms.scene import Footprint, Item, Materials

Rng = np.random.Generator
_CORNER = 0.66
"""How far a run of counters keeps from a corner that another one takes."""


def furnish_kitchen(room: RoomInProgress) -> None:
    """Counters on one wall, or on two that meet; a sink, mostly a stove, a refrigerator, cabinets above."""
    rng, walls = room.rng, room.plan.walls
    order = rng.permutation(len(walls))
    runs: list[Footprint] = []
    for index in order:
        first, second = walls[index], walls[(index + 1) % len(walls)]
        # A wall's x runs from its second corner to its first: the far end of one and the start of the next meet.
        run = _run(room, first, -first.length / 2 + 0.005, 1, sink=True, stove=rng.random() < 0.5)
        if not run:
            continue
        runs.append(run)
        if rng.random() < 0.7 and (other := _run(room, second, second.length / 2 - _CORNER, -1, stove=True)):
            runs.append(other)
        break
    else:
        if run := room.at_wall(lambda r, m: kitchen.counter(r, m, 1.4, sink=True, stove=False)):
            runs.append(run)
    _refrigerator(room, runs)
    for run in runs:
        _above_counter(room, run)
    if room.plan.width * room.plan.depth > 11 and rng.random() < 0.5 and (main := room.anywhere(kitchen.island)):
        for side in (-1, 1):
            if rng.random() < 0.6:
                room.beside(main, seating.stool, side * main.width * 0.25, -main.depth / 2 - 0.25, 0)


def _run(
    room: RoomInProgress, wall: Wall, start: float, direction: int, *, sink: bool = False, stove: bool = False
) -> Footprint | None:
    """The longest of a few counters that fits from `start` along a wall."""
    longest = min(wall.length - 0.1, 3.8)
    for width in np.arange(longest, 1.0, -0.35) * room.rng.uniform(0.85, 1.0):
        wide = float(width)
        along = start + direction * wide / 2
        if abs(along) + wide / 2 > wall.length / 2:
            continue

        def build(rng: Rng, materials: Materials, wide: float = wide) -> Item:
            return kitchen.counter(rng, materials, wide, sink=sink, stove=stove)

        if placed := room.along_wall(room.builder.make(build), wall, along):
            return placed
    return None


def _refrigerator(room: RoomInProgress, runs: list[Footprint]) -> None:
    """Beside a counter if there is room, otherwise at any wall."""
    item = room.builder.make(kitchen.refrigerator)
    width = room.footprint(item, 0, 0, 0).width
    for run in runs:
        if behind := room.wall_behind(run):
            for side in (1, -1):
                along = behind[1] + side * (run.width / 2 + width / 2 + 0.02)
                if abs(along) + width / 2 < behind[0].length / 2 and room.along_wall(item, behind[0], along, 0.03):
                    return
    room.at_wall(kitchen.refrigerator)


def _above_counter(room: RoomInProgress, run: Footprint) -> None:
    """Wall cabinets, a hood and tiles between counter and cabinets, where no window is."""
    behind = room.wall_behind(run)
    if not behind:
        return
    rng, materials = room.rng, room.builder.materials
    wall, along = behind
    bottom = float(rng.uniform(1.38, 1.5))
    height = float(min(rng.uniform(0.6, 0.95), room.plan.height - bottom - 0.05))
    cell = float(rng.uniform(0.45, 0.9))
    count = max(1, int(run.width / cell))
    hooded = int(rng.integers(count)) if rng.random() < 0.6 else -1
    if rng.random() < 0.85:
        for k in range(count):
            at = along + (k + 0.5 - count / 2) * cell
            if k == hooded and cell > 0.6:
                room.hang(kitchen.hood(rng, materials, bottom + 0.1, room.plan.height), wall, at)
            else:
                room.hang(kitchen.wall_cabinet(rng, materials, cell - 0.002, height, bottom), wall, at)
    for _ in range(int(rng.integers(0, 3))):
        size = rng.uniform([0.15, 0.12], [0.4, 0.35])
        item = fixtures.picture(rng, materials, float(size[0]), float(size[1]), 1.0)
        room.hang(item, wall, along + float(rng.uniform(-0.4, 0.4)) * run.width, 0.05)


def furnish_bathroom(room: RoomInProgress) -> None:
    """A tub or a shower with its curtain, a toilet, a basin with mirror and lamp, towels."""
    rng, materials = room.rng, room.builder.materials
    tub = room.at_wall(bathroom.bathtub if rng.random() < 0.75 else bathroom.shower_tray, 40)
    if tub and rng.random() < 0.75:
        top = min(float(rng.uniform(1.9, 2.1)), room.plan.height - 0.1)
        c, s = np.cos(tub.yaw), np.sin(tub.yaw)
        ahead = tub.depth / 2 - 0.06
        place = (float(tub.x + ahead * s), float(tub.y - ahead * c), 0.0)
        for item in bathroom.shower_curtain(rng, materials, tub.width - 0.02, top):
            room.builder.add(item, place, tub.yaw)
    room.at_wall(bathroom.toilet, 60)
    for _ in range(int(rng.choice([1, 1, 2]))):
        if basin := room.at_wall(bathroom.vanity, 40):
            _over_basin(room, basin)
    for _ in range(int(rng.integers(1, 4))):
        width, top = float(rng.uniform(0.35, 0.75)), float(rng.uniform(1.2, 1.7))
        wall = room.plan.walls[rng.integers(len(room.plan.walls))]
        reach = max(wall.length / 2 - width, 0)
        room.hang(bathroom.towel(rng, materials, width, top), wall, float(rng.uniform(-reach, reach)), 0.05)


def _over_basin(room: RoomInProgress, basin: Footprint) -> None:
    behind = room.wall_behind(basin)
    if not behind:
        return
    rng, materials = room.rng, room.builder.materials
    wall, along = behind
    bottom = max(float(rng.uniform(1.0, 1.2)), basin.top + 0.02)
    height = float(min(rng.uniform(0.5, 1.0), room.plan.height - bottom - 0.3))
    width = float(min(basin.width * rng.uniform(0.6, 1.1), 1.6))
    if rng.random() < 0.9:
        room.hang(fixtures.mirror(rng, materials, width, height, bottom), wall, along)
        if rng.random() < 0.6:
            room.hang(lamps.wall_lamp(rng, materials, bottom + height + 0.05), wall, along)


def kitchen_things() -> tuple[clutter.Builder, ...]:
    """What stands on worktops."""
    return (*(kitchen.kettle,) * 6, *(clutter.bottles,) * 3, clutter.bowl, clutter.bowl, clutter.mug, clutter.plant)


def bathroom_things() -> tuple[clutter.Builder, ...]:
    """What stands round a basin."""
    return (*(bathroom.toiletry,) * 6, clutter.plant, clutter.tissues, clutter.bottles)
