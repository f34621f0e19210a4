"""Keys of voxels: one sortable number for the three coordinates of a voxel, and which keys lie around a key."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import NDArray

_BITS = 21
HALF = 1 << (_BITS - 1)
"""Voxel coordinates, from the map's origin, run from -HALF to HALF - 1: 104 km at 5 cm."""
_AROUND = [
    (x << (2 * _BITS)) + (y << _BITS) + z
    for x, y, z in itertools.product((-1, 0, 1), repeat=3)
    if (x, y, z) != (0, 0, 0)
]
"""From a voxel's key to the keys of those around it. (At the map's very end, 52 km away, to some that are not.)"""
MOST_NEIGHBORS = len(_AROUND)


def pack(voxels: Float[np.ndarray, "3 points"]) -> Int64[np.ndarray, " points"]:
    """One sortable 63-bit number per voxel, of whole coordinates."""
    x, y, z = voxels.astype(np.int64) + HALF
    packed: NDArray[np.int64] = (x << (2 * _BITS)) | (y << _BITS) | z
    return packed


def neighbors(keys: Int64[np.ndarray, " voxels"]) -> Int64[np.ndarray, " voxels"]:
    """How many of the 26 voxels around each are among the keys, which ascend."""
    found = np.zeros(len(keys), np.int64)
    for step in _AROUND:
        places = np.searchsorted(keys, keys + step)
        inside = places < len(keys)
        found[inside] += keys[places[inside]] == keys[inside] + step
    return found
