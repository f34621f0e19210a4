"""Voxel map: labelled clouds of many views fused into one, bounded in size.

Each cloud is one sighting: a voxel takes the mean of the points that fall into it, so a close view with many points
counts no more than a far one. Per class the map sums the confidence of every sighting; the fused class is the one with
the most, and its confidence is that sum over the number of sightings, so a voxel of doubtful sightings stays doubtful.

When there are too many voxels, the longest unseen leave first, and among those the ones seen least often.
Reference twin: test/reference/voxel_fusion.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Bool, Float, Int64
from numpy.typing import NDArray

from sray.label_space import VOID
from sray.mapping.cloud import LabelledCloud

_BITS = 21
_HALF = 1 << (_BITS - 1)
"""Voxel coordinates run from -_HALF to _HALF - 1: 104 km at 5 cm."""


@dataclass(frozen=True)
class VoxelMapConfig:
    """How fine and how large the map is."""

    voxel_size: float = 0.05
    """Edge of a voxel, metres."""
    max_voxels: int = 500_000
    """Voxels held at most."""

    def __post_init__(self) -> None:
        if not 0 < self.voxel_size < float("inf"):
            raise ValueError(f"map.voxel_size is {self.voxel_size}; expected more than 0 metres")
        if self.max_voxels < 1:
            raise ValueError(f"map.max_voxels is {self.max_voxels}; expected at least 1")


@dataclass
class _Storage:
    """One row per slot. Slots never move; which voxel owns which slot is the map's sorted index."""

    classes: int
    mean: NDArray[np.float32] = field(init=False)
    """x y z (metres) and r g b (0-255), means over sightings."""
    evidence: NDArray[np.float32] = field(init=False)
    sightings: NDArray[np.int64] = field(init=False)
    last_seen: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.mean = np.zeros((0, 6), np.float32)
        self.evidence = np.zeros((0, self.classes), np.float32)
        self.sightings = np.zeros(0, np.int64)
        self.last_seen = np.zeros(0, np.int64)

    def grow(self, rows: int) -> None:
        for part in fields(self)[1:]:
            old = getattr(self, part.name)
            setattr(self, part.name, np.concatenate([old, np.zeros((rows, *old.shape[1:]), old.dtype)]))


class VoxelMap:
    """The fused map of one label space of `classes` classes."""

    def __init__(self, classes: int, config: VoxelMapConfig | None = None) -> None:
        self.config = config or VoxelMapConfig()
        self.revision = 0
        """Counts changes, clearing included, so that a reader knows whether to look again."""
        self._classes = classes
        self.clear()

    def __len__(self) -> int:
        return len(self._keys)

    def clear(self) -> None:
        self._keys: NDArray[np.int64] = np.zeros(0, np.int64)  # sorted
        self._slots: NDArray[np.int64] = np.zeros(0, np.int64)  # in the order of the keys
        self._free: NDArray[np.int64] = np.zeros(0, np.int64)
        self._storage = _Storage(self._classes)
        self.revision += 1

    def integrate(self, cloud: LabelledCloud) -> int:
        """Fuse one cloud, as one sighting; returns how many voxels it touched.

        Points that are void, not finite, or farther out than 2^20 voxels are left out.
        Raises ValueError for a label outside the label space.
        """
        voxels = np.floor(cloud.points.astype(np.float64) / self.config.voxel_size)
        usable = (np.abs(voxels) < _HALF).all(axis=1) & (cloud.labels != VOID) & np.isfinite(cloud.confidence)
        if not usable.any():
            return 0
        labels = cloud.labels[usable].astype(np.int64)
        if labels.max() >= self._classes:
            raise ValueError(f"the cloud has label {labels.max()}; expected less than {self._classes}, or {VOID}")
        keys, inverse, counts = np.unique(_pack(voxels[usable]), return_inverse=True, return_counts=True)
        slots = self._slots_of(keys)
        self.revision += 1
        storage = self._storage
        storage.sightings[slots] += 1
        storage.last_seen[slots] = self.revision
        values = np.concatenate([cloud.points[usable], cloud.rgb[usable]], axis=1)
        for column in range(values.shape[1]):
            seen = np.bincount(inverse, weights=values[:, column]) / counts
            storage.mean[slots, column] += (seen - storage.mean[slots, column]) / storage.sightings[slots]
        evidence = np.bincount(
            inverse * self._classes + labels,
            weights=cloud.confidence[usable],
            minlength=len(keys) * self._classes,
        ).reshape(len(keys), self._classes)
        storage.evidence[slots] += (evidence / counts[:, None]).astype(np.float32)
        self._evict()
        return len(keys)

    def to_cloud(self) -> LabelledCloud:
        """One point per voxel, in a fixed order; a copy that later changes do not touch."""
        mean, evidence = self._storage.mean[self._slots], self._storage.evidence[self._slots]
        labels = evidence.argmax(axis=1) if len(evidence) else np.zeros(0, np.int64)
        winning = np.take_along_axis(evidence, labels[:, None], axis=1)[:, 0]
        confidence = winning / self._storage.sightings[self._slots]
        return LabelledCloud(
            np.ascontiguousarray(mean[:, :3]),
            mean[:, 3:].round().clip(0, 255).astype(np.uint8),
            labels.astype(np.uint8),
            confidence.astype(np.float32),
        )

    def _slots_of(self, keys: Int64[np.ndarray, " voxels"]) -> Int64[np.ndarray, " voxels"]:
        """Slots of sorted, unique keys; new ones are taken into the index with an empty slot."""
        places = np.searchsorted(self._keys, keys)
        known = np.zeros(len(keys), bool)
        inside = places < len(self._keys)
        known[inside] = self._keys[places[inside]] == keys[inside]
        slots = np.empty(len(keys), np.int64)
        slots[known] = self._slots[places[known]]
        wanted = int((~known).sum())
        if wanted > len(self._free):
            size = len(self._storage.sightings)
            rows = max(wanted - len(self._free), size // 2)
            self._storage.grow(rows)
            self._free = np.concatenate([self._free, np.arange(size, size + rows)])
        slots[~known], self._free = self._free[:wanted], self._free[wanted:]
        self._keys = np.insert(self._keys, places[~known], keys[~known])
        self._slots = np.insert(self._slots, places[~known], slots[~known])
        return slots

    def _evict(self) -> None:
        surplus = len(self._keys) - self.config.max_voxels
        if surplus <= 0:
            return
        sightings = np.minimum(self._storage.sightings[self._slots], (1 << 24) - 1)
        rank = (self._storage.last_seen[self._slots] << 24) | sightings
        worst = np.partition(rank, surplus - 1)[surplus - 1]
        leaves: Bool[np.ndarray, " voxels"] = rank < worst
        # Among equals the lower key leaves: repeatable, and cheaper than a full sort.
        leaves[np.flatnonzero(rank == worst)[: surplus - int(leaves.sum())]] = True
        slots = self._slots[leaves]
        self._storage.mean[slots] = 0
        self._storage.evidence[slots] = 0
        self._storage.sightings[slots] = 0
        self._free = np.concatenate([self._free, slots])
        self._keys, self._slots = self._keys[~leaves], self._slots[~leaves]


def _pack(voxels: Float[np.ndarray, "points 3"]) -> Int64[np.ndarray, " points"]:
    """One sortable 63-bit number per voxel."""
    x, y, z = (voxels.astype(np.int64) + _HALF).T
    packed: NDArray[np.int64] = (x << (2 * _BITS)) | (y << _BITS) | z
    return packed
