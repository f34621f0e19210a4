"""Furniture that belongs together: a sofa and its table, a desk and its chair, a bed between night stands. Meters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sray_train.data.rooms import beds, fixtures, lamps, screens, seating, storage, tables
from sray_train.data.rooms.placement import Builder, RoomInProgress
from sray_train.data.rooms.scene import Footprint


def _sofa(room: RoomInProgress) -> None:
    rng = room.rng
    main = room.at_wall(seating.sofa, 80) if rng.random() < 0.8 else room.anywhere(seating.sofa)
    if not main:
        return
    if rng.random() < 0.8:
        ahead = main.depth / 2 + rng.uniform(0.55, 0.8)
        low = room.beside(main, tables.coffee_table, rng.normal(0, 0.1), ahead, rng.choice([0, np.pi / 2]))
        if low and rng.random() < 0.5:
            opposite = seating.sofa if rng.random() < 0.25 else seating.armchair
            room.beside(main, opposite, rng.uniform(-0.4, 0.4), ahead + 0.95, np.pi + rng.normal(0, 0.2))
    for side in (-1, 1):
        if rng.random() < 0.5:
            builder = lamps.floor_lamp if rng.random() < 0.4 else tables.side_table
            room.beside(main, builder, side * (main.width / 2 + 0.3), -0.05, 0)
    _above(room, main, 0.7)


def _bed(room: RoomInProgress) -> None:
    rng = room.rng
    main = None
    for _ in range(3):  # the first may be too wide for this room
        main = main or room.at_wall(beds.bunk_bed if rng.random() < 0.08 else beds.bed, 60)
    if not main:
        return
    for side in (-1, 1):
        if rng.random() < 0.75:
            builder = storage.nightstand if rng.random() < 0.85 else tables.side_table
            across = side * (main.width / 2 + rng.uniform(0.27, 0.34))
            if stand := room.beside(main, builder, across, -main.depth / 2 + 0.32, 0):
                top = next(surface for below, surface in room.tops if below is stand)
                if rng.random() < 0.65:
                    room.put_on(stand, top, (lamps.table_lamp,), 1)
                    room.tops.remove((stand, top))
    if rng.random() < 0.2:
        room.beside(main, seating.bench, 0, main.depth / 2 + 0.3, 0)
    _above(room, main, 0.5)


def _above(room: RoomInProgress, main: Footprint, chance: float) -> None:
    """One to three pictures or a mirror over a piece of furniture."""
    rng = room.rng
    behind = room.wall_behind(main)
    if not behind or rng.random() > chance:
        return
    wall, along = behind
    count = int(rng.choice([1, 1, 2, 3]))
    width, height = float(rng.uniform(0.25, 1.2 / count)), float(rng.uniform(0.25, 0.7))
    bottom = float(max(rng.uniform(1.3, 1.55), main.top + 0.08))
    builder = fixtures.mirror if rng.random() < 0.15 else fixtures.picture
    for k in range(count):
        at = along + (k - (count - 1) / 2) * (width + 0.12)
        room.hang(builder(rng, room.builder.materials, width, height, bottom), wall, at, 0.03)


def _desk(room: RoomInProgress) -> None:
    rng = room.rng
    main = room.at_wall(tables.desk) if rng.random() < 0.8 else room.anywhere(tables.desk)
    if main and rng.random() < 0.92:
        ahead = main.depth / 2 + rng.uniform(0.3, 0.5)
        turn = np.pi + (rng.normal(0, 0.3) if rng.random() < 0.8 else rng.uniform(-3, 3))
        chair = seating.office_chair if rng.random() < 0.6 else seating.chair
        room.beside(main, chair, rng.uniform(-0.15, 0.15), ahead, turn)


def _table(room: RoomInProgress, most: int = 3) -> None:
    rng = room.rng
    main = room.anywhere(tables.table, 40) if rng.random() < 0.75 else room.at_wall(tables.table)
    if not main:
        return
    state = int(rng.integers(2**31))  # the chairs of one table are of one make
    alike = rng.random() < 0.85
    places = []
    for side in (0, 1):
        count = 2 if main.width > 1.2 else 1
        for k in range(count):
            across = (k + 0.5) / count * main.width - main.width / 2
            places.append((across, (1 - 2 * side) * (main.depth / 2 + 0.28), np.pi * (1 - side)))
    places += [(main.width / 2 + 0.28, 0.0, -np.pi / 2), (-main.width / 2 - 0.28, 0.0, np.pi / 2)]
    for index in rng.permutation(len(places))[: int(rng.integers(max(1, most - 3), most + 1))]:
        across, ahead, yaw = places[index]
        build: Builder = (lambda _, m: seating.chair(np.random.default_rng(state), m)) if alike else seating.chair
        room.beside(main, build, across, ahead, yaw + float(rng.normal(0, 0.12)))


def _dining(room: RoomInProgress) -> None:
    _table(room, 6)


def _television(room: RoomInProgress) -> None:
    """On a stand, or on a wall with or without something under it."""
    rng = room.rng
    stand = room.at_wall(storage.tv_stand if rng.random() < 0.8 else tables.coffee_table, 60)
    behind = stand and room.wall_behind(stand)
    if stand and behind and rng.random() < 0.3:
        width = float(rng.uniform(0.7, 1.5))
        bottom = float(rng.uniform(1.0, 1.3))
        if room.hang(screens.wall_television(rng, room.builder.materials, width, bottom), *behind, 0.03):
            return
    if stand:
        top = next(surface for below, surface in room.tops if below is stand)
        if any(room.put_on(stand, top, (screens.television,), 1) for _ in range(6)):
            room.tops.remove((stand, top))


def _wall_thing(builder: Builder, hang: float = 0.0) -> Callable[[RoomInProgress], None]:
    def place(room: RoomInProgress) -> None:
        if (main := room.at_wall(builder)) and hang:
            _above(room, main, hang)

    return place


def _chair(room: RoomInProgress) -> None:
    builder = (seating.chair, seating.armchair, seating.armchair, seating.stool, seating.bench)[room.rng.integers(5)]
    room.at_wall(builder) if room.rng.random() < 0.5 else room.anywhere(builder)


def _floor_lamp(room: RoomInProgress) -> None:
    room.at_wall(lamps.floor_lamp) if room.rng.random() < 0.75 else room.anywhere(lamps.floor_lamp)


GROUPS: dict[str, Callable[[RoomInProgress], None]] = {
    "sofa": _sofa,
    "bed": _bed,
    "desk": _desk,
    "table": _table,
    "dining": _dining,
    "television": _television,
    "chair": _chair,
    "cabinet": _wall_thing(storage.cabinet, 0.5),
    "dresser": _wall_thing(storage.dresser, 0.8),
    "wardrobe": _wall_thing(storage.wardrobe),
    "bookshelf": _wall_thing(storage.bookshelf),
    "bench": _wall_thing(seating.bench),
    "floor_lamp": _floor_lamp,
}
"""What a room kind may ask for, by name."""
