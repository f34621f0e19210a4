"""Keys of voxels: one sortable number for the three coordinates of a voxel, and which keys lie around a key."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import NDArray

_BITS = 21
HALF = 1 << (_BITS - 1)
"""Voxel coordinates, from the map's origin, run from -HALF to HALF - 1: 104 km at 5 cm."""
_COLUMNS = [(x << (2 * _BITS)) + (y << _BITS) for x, y in itertools.product((-1, 0, 1), repeat=2)]
"""From a voxel's key to the keys beside it at the same z. (At the map's edge, 52 km from
its origin, some of these keys belong to voxels that are not beside it.)"""
MOST_NEIGHBORS = 3 * len(_COLUMNS) - 1


def pack(voxels: Float[np.ndarray, "3 points"]) -> Int64[np.ndarray, " points"]:
    """One sortable 63-bit number per voxel, of whole coordinates."""
    x, y, z = voxels.astype(np.int64) + HALF
    packed: NDArray[np.int64] = (x << (2 * _BITS)) | (y << _BITS) | z
    return packed


def neighbors(keys: Int64[np.ndarray, " voxels"]) -> Int64[np.ndarray, " voxels"]:
    """How many of the 26 voxels around each are among the keys, which ascend."""
    found = np.full(len(keys), -1, np.int64)  # each finds itself
    padded = np.concatenate([keys, np.full(3, np.iinfo(np.int64).max)])
    for column in _COLUMNS:
        # The three voxels of a column have keys in a row: one search finds where all three would be.
        lowest, highest = keys + (column - 1), keys + (column + 1)
        place = np.searchsorted(keys, lowest)
        for ahead in range(3):
            found += padded[place + ahead] <= highest
    return found
