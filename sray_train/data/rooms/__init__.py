"""Procedural rooms: labeled, posed RGB-D sequences of furnished rooms, from a seed, without any download."""

from sray_train.data.rooms.generate import (
    GENERATOR_VERSION,
    make_rooms,
    room_folder,
    room_frames,
    room_path,
    seed_of,
)
from sray_train.data.rooms.seeds import FIRST_HELD_OUT_SEED, parse_seeds

__all__ = [
    "FIRST_HELD_OUT_SEED",
    "GENERATOR_VERSION",
    "make_rooms",
    "parse_seeds",
    "room_folder",
    "room_frames",
    "room_path",
    "seed_of",
]
