"""Storage of a voxel map: what is known of each voxel, in rows that never move.

Which voxel owns which row (its slot) is the map's sorted index.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

FREE = np.iinfo(np.int64).max
"""Rank of a slot that no voxel owns: the last to leave."""
SIGHTING_BITS = 24


@dataclass
class VoxelStorage:
    """One row per slot, which a voxel owns until it leaves; slots never move."""

    classes: int
    keys: NDArray[np.int64] = field(init=False)
    xyz: NDArray[np.float32] = field(init=False)
    """Meters, mean over sightings."""
    rgb: NDArray[np.float32] = field(init=False)
    """0-255, mean over sightings."""
    evidence: NDArray[np.float32] = field(init=False)
    sightings: NDArray[np.int64] = field(init=False)
    looked_through: NDArray[np.int64] = field(init=False)
    """Views that see what lies behind the voxel."""
    rank: NDArray[np.int64] = field(init=False)
    """Last sighting, then their number, as one number: the lowest leave first."""
    shown_rgb: NDArray[np.uint8] = field(init=False)
    shown_label: NDArray[np.uint8] = field(init=False)
    shown_confidence: NDArray[np.float32] = field(init=False)
    """What the map says of the voxel: found when it is seen, as there are far more voxels than a cloud touches."""

    def __post_init__(self) -> None:
        self.keys = np.zeros(0, np.int64)
        self.xyz = np.zeros((0, 3), np.float32)
        self.rgb = np.zeros((0, 3), np.float32)
        self.evidence = np.zeros((0, self.classes), np.float32)
        self.sightings = np.zeros(0, np.int64)
        self.looked_through = np.zeros(0, np.int64)
        self.rank = np.zeros(0, np.int64)
        self.shown_rgb = np.zeros((0, 3), np.uint8)
        self.shown_label = np.zeros(0, np.uint8)
        self.shown_confidence = np.zeros(0, np.float32)

    def __len__(self) -> int:
        return len(self.keys)

    def grow(self, rows: int) -> None:
        size = len(self)
        for part in fields(self)[1:]:
            old = getattr(self, part.name)
            setattr(self, part.name, np.concatenate([old, np.zeros((rows, *old.shape[1:]), old.dtype)]))
        self.rank[size:] = FREE

    def empty(self, slots: Int64[np.ndarray, " voxels"]) -> None:
        for sums in (self.xyz, self.rgb, self.evidence, self.sightings, self.looked_through):
            sums[slots] = 0
        self.rank[slots] = FREE


def ranked(last_seen: int | NDArray[np.int64], sightings: NDArray[np.int64]) -> NDArray[np.int64]:
    rank: NDArray[np.int64] = (last_seen << SIGHTING_BITS) | np.minimum(sightings, (1 << SIGHTING_BITS) - 1)
    return rank
