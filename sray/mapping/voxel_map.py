"""Voxel map: labeled clouds of many views fused into one, bounded in size.

Each cloud is one sighting: a voxel takes the mean of the points that fall into it, so a close view with many points
counts no more than a far one. Per class the map sums the confidence of every sighting; the fused class is the one with
the most, and its confidence is that sum over the number of sightings, so a voxel of doubtful sightings stays doubtful.

What few views saw, others look through, and islands may be left out of what is told; they are held for later views.

When there are too many voxels, the longest unseen leave first, and among those the ones seen least often.
Reference twin: test/reference/voxel_fusion.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from sray.camera import Camera
from sray.label_space import VOID
from sray.mapping.cloud import LabeledCloud, largest_around
from sray.mapping.voxel_keys import HALF, MOST_NEIGHBORS, neighbors, pack
from sray.mapping.voxel_storage import SIGHTING_BITS, VoxelStorage, ranked
from sray.origin import WORLD, Origin


@dataclass(frozen=True)
class VoxelMapConfig:
    """How fine and how large the map is."""

    voxel_size: float = 0.05
    """Edge of a voxel, meters."""
    max_voxels: int = 500_000
    """Voxels held at most."""
    min_sightings: int = 1
    """Voxels with fewer are held, but not told of: with 2, what no second view confirms stays out of the cloud."""
    min_neighbors: int = 0
    """A voxel is shown if so many of the 26 around it are seen often enough too; 0: islands are shown."""
    max_looked_through: float = math.inf
    """Views that look through a voxel, for each that sees it, up to which it is shown; infinite: nothing is carved."""

    def __post_init__(self) -> None:
        if not 0 < self.voxel_size < float("inf"):
            raise ValueError(f"map.voxel_size is {self.voxel_size}; expected more than 0 meters")
        if self.max_voxels < 1:
            raise ValueError(f"map.max_voxels is {self.max_voxels}; expected at least 1")
        if self.min_sightings < 1:
            raise ValueError(f"map.min_sightings is {self.min_sightings}; expected at least 1")
        if not self.max_looked_through >= 0:
            raise ValueError(f"map.max_looked_through is {self.max_looked_through}; expected 0 or more")
        if not 0 <= self.min_neighbors <= MOST_NEIGHBORS:
            raise ValueError(f"map.min_neighbors is {self.min_neighbors}; expected 0 to {MOST_NEIGHBORS}")


@dataclass(frozen=True)
class VoxelMapState:
    """All that a map knows, voxels in the order of their keys. Plain arrays: to be saved, and made a map of again."""

    voxel_size: float
    revision: int
    keys: Int64[np.ndarray, " voxels"]
    """Which voxel: ascending, each once, not negative."""
    xyz: Float32[np.ndarray, "voxels 3"]
    """Meters from `origin`, mean over sightings."""
    rgb: Float32[np.ndarray, "voxels 3"]
    """0-255, mean over sightings."""
    evidence: Float32[np.ndarray, "voxels classes"]
    """Confidence per class, summed over sightings."""
    sightings: Int64[np.ndarray, " voxels"]
    """How many there were: at least 1."""
    last_seen: Int64[np.ndarray, " voxels"]
    """The map's revision at the last sighting."""
    looked_through: Int64[np.ndarray, " voxels"]
    """Views that saw what lies behind."""
    origin: Origin = WORLD
    """Of the frame that keys and xyz are in."""


CONFIRMED = VoxelMapConfig(min_sightings=2, min_neighbors=3, max_looked_through=0.25)
"""Of a map that grows while a camera moves: what is left out is mostly errors of depth, or what has moved."""
CLEARANCE = 0.03
"""Of the depth, and a voxel's edge on top: what lies so far before the surface that a view sees is looked through."""


class VoxelMap:
    """The fused map of one label space of `classes` classes."""

    def __init__(self, classes: int, config: VoxelMapConfig | None = None) -> None:
        self._config = config or VoxelMapConfig()
        self.revision = 0
        """Counts changes, clearing included, so that a reader knows whether to look again."""
        self.origin = WORLD
        """Of the frame that the map's coordinates are in: that of the first cloud, until the map is cleared."""
        self._classes = classes
        self.clear()

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def config(self) -> VoxelMapConfig:
        return self._config

    @config.setter
    def config(self, config: VoxelMapConfig) -> None:
        """Choose anew what the map tells of its voxels: by `min_sightings`, `min_neighbors`, `max_looked_through`.

        Raises ValueError for another size or number of voxels: what was fused cannot be fused anew.
        """
        if (config.voxel_size, config.max_voxels) != (self.config.voxel_size, self.config.max_voxels):
            raise ValueError(
                f"map.voxel_size is {config.voxel_size} and map.max_voxels {config.max_voxels}; expected "
                f"{self.config.voxel_size} and {self.config.max_voxels}, which a map keeps. Make a new one for others"
            )
        self.revision += config != self.config
        self._config = config

    @property
    def reach(self) -> float:
        """Meters from the origin, along each axis, that the map can hold."""
        return HALF * self.config.voxel_size

    def clear(self) -> None:
        self._keys: NDArray[np.int64] = np.zeros(0, np.int64)  # sorted
        self._slots: NDArray[np.int64] = np.zeros(0, np.int64)  # in the order of the keys
        self._free: NDArray[np.int64] = np.zeros(0, np.int64)
        self._storage = VoxelStorage(self._classes)
        self.revision += 1

    def state(self) -> VoxelMapState:
        """A copy that later changes do not touch."""
        storage, slots = self._storage, self._slots
        return VoxelMapState(
            self.config.voxel_size,
            self.revision,
            self._keys.copy(),
            storage.xyz.take(slots, axis=0),
            storage.rgb.take(slots, axis=0),
            storage.evidence.take(slots, axis=0),
            storage.sightings.take(slots),
            storage.rank.take(slots) >> SIGHTING_BITS,
            storage.looked_through.take(slots),
            self.origin,
        )

    @staticmethod
    def from_state(state: VoxelMapState, config: VoxelMapConfig) -> VoxelMap:
        """The map that `state` was taken of: it goes on like that one. Beyond `max_voxels` the surplus leaves.

        Raises ValueError if the voxels have another size.
        """
        if state.voxel_size != config.voxel_size:
            raise ValueError(f"the state's voxels are {state.voxel_size} m; expected {config.voxel_size} m")
        restored = VoxelMap(state.evidence.shape[1], config)
        restored.revision, restored.origin = state.revision, state.origin
        slots = restored._slots_of(state.keys)
        storage = restored._storage
        storage.xyz[slots], storage.rgb[slots] = state.xyz, state.rgb
        storage.sightings[slots], storage.looked_through[slots] = state.sightings, state.looked_through
        storage.rank[slots] = ranked(state.last_seen, state.sightings)
        restored._show(slots, state.evidence, state.sightings)
        restored._evict()
        return restored

    def integrate(self, cloud: LabeledCloud) -> int:
        """Fuse one cloud, as one sighting; returns how many voxels it touched.

        Points that are void, not finite, or farther from the map's origin than 2^20 voxels are left out.
        Raises ValueError for a label outside the label space.
        """
        if not len(self):
            self.origin = cloud.origin
        cloud = cloud.relative_to(self.origin)
        voxels = np.floor(cloud.points.T.astype(np.float64, order="C") / self.config.voxel_size)
        usable = (np.abs(voxels) < HALF).all(axis=0) & (cloud.labels != VOID) & np.isfinite(cloud.confidence)
        if not usable.any():
            return 0
        points, rgb, labels, confidence = cloud.points, cloud.rgb, cloud.labels, cloud.confidence
        if not usable.all():
            voxels = voxels[:, usable]
            points, rgb, labels, confidence = points[usable], rgb[usable], labels[usable], confidence[usable]
        if labels.max() >= self._classes:
            raise ValueError(f"the cloud has label {labels.max()}; expected less than {self._classes}, or {VOID}")
        keys, inverse, counts = np.unique(pack(voxels), return_inverse=True, return_counts=True)
        slots = self._slots_of(keys)
        self.revision += 1
        storage = self._storage
        storage.sightings[slots] += 1
        sightings = storage.sightings[slots]
        storage.rank[slots] = ranked(self.revision, sightings)
        for means, values in ((storage.xyz, points), (storage.rgb, rgb)):
            seen = np.stack([np.bincount(inverse, weights=column) for column in values.T], axis=1) / counts[:, None]
            old = means.take(slots, axis=0)  # a third of the time of [slots], for rows
            means[slots] = old + (seen - old) / sightings[:, None]
        added = np.bincount(
            inverse * self._classes + labels, weights=confidence, minlength=len(keys) * self._classes
        ).reshape(len(keys), self._classes)
        evidence = storage.evidence.take(slots, axis=0) + (added / counts[:, None]).astype(np.float32)
        self._show(slots, evidence, sightings)
        self._evict()
        return len(keys)

    def carve(self, camera: Camera, depth: Float[Tensor, "height width"]) -> int:
        """Count a view against the voxels that it looks through; returns how many.

        `depth`: camera z, meters; not finite, or 0, where nothing is known and carved. At edges the nearer side counts.
        """
        shift = torch.from_numpy(self.origin.offset_from(camera.origin)).float()
        nearest = -largest_around(-torch.where(torch.isfinite(depth), depth, 0.0))
        points = torch.from_numpy(self._storage.xyz.take(self._slots, axis=0))
        # What is behind the camera or beyond all surfaces need not be projected: most of a large map.
        ahead = points @ camera.forward + (shift - camera.center) @ camera.forward
        before = torch.nonzero((ahead > 0) & (ahead < nearest.max()))[:, 0]
        seen = camera.project(points[before] + shift)
        columns, rows = seen.pixels[seen.seen].round().long().unbind(-1)
        free = (1 - CLEARANCE) * nearest[rows, columns] - self.config.voxel_size
        passed = self._slots[before[seen.seen][seen.depth[seen.seen] < free].numpy()]
        self._storage.looked_through[passed] += 1
        self.revision += len(passed) > 0
        return len(passed)

    def to_cloud(self) -> LabeledCloud:
        """One point per voxel that enough views and neighbors support and few views look through; in a fixed order, a
        copy that later changes do not touch."""
        storage, slots = self._storage, self._supported()
        return LabeledCloud(
            storage.xyz.take(slots, axis=0),
            storage.shown_rgb.take(slots, axis=0),
            storage.shown_label.take(slots),
            storage.shown_confidence.take(slots),
            self.origin,
        )

    def _supported(self) -> Int64[np.ndarray, " voxels"]:
        """Slots of the voxels that are shown, in the order of their keys."""
        keys, slots, config, storage = self._keys, self._slots, self.config, self._storage
        if config.min_sightings > 1 or config.max_looked_through < math.inf:
            sightings = storage.sightings[slots]
            enough = storage.looked_through[slots] <= config.max_looked_through * sightings
            enough &= sightings >= config.min_sightings
            keys, slots = keys[enough], slots[enough]
        if self.config.min_neighbors:
            slots = slots[neighbors(keys) >= self.config.min_neighbors]
        return slots

    def _show(
        self,
        slots: Int64[np.ndarray, " voxels"],
        evidence: Float32[np.ndarray, "voxels classes"],
        sightings: Int64[np.ndarray, " voxels"],
    ) -> None:
        """Take new evidence, and find what the map now says of these voxels."""
        storage = self._storage
        storage.evidence[slots] = evidence
        storage.shown_rgb[slots] = np.rint(storage.rgb.take(slots, axis=0))
        winning = evidence.argmax(axis=1)
        storage.shown_label[slots] = winning
        storage.shown_confidence[slots] = np.take_along_axis(evidence, winning[:, None], axis=1)[:, 0] / sightings

    def _slots_of(self, keys: Int64[np.ndarray, " voxels"]) -> Int64[np.ndarray, " voxels"]:
        """Slots of sorted, unique keys; new ones are taken into the index with an empty slot."""
        places = np.searchsorted(self._keys, keys)
        known = np.zeros(len(keys), bool)
        inside = places < len(self._keys)
        known[inside] = self._keys[places[inside]] == keys[inside]
        slots = np.empty(len(keys), np.int64)
        slots[known] = self._slots[places[known]]
        wanted = int((~known).sum())
        if not wanted:
            return slots
        if wanted > len(self._free):
            size = len(self._storage)
            rows = max(wanted - len(self._free), size // 2)
            self._storage.grow(rows)
            self._free = np.concatenate([self._free, np.arange(size, size + rows)])
        slots[~known], self._free = self._free[:wanted], self._free[wanted:]
        self._storage.keys[slots] = keys
        self._keys = np.insert(self._keys, places[~known], keys[~known])
        self._slots = np.insert(self._slots, places[~known], slots[~known])
        return slots

    def _evict(self) -> None:
        surplus = len(self._keys) - self.config.max_voxels
        if surplus <= 0:
            return
        storage = self._storage
        worst = np.partition(storage.rank, surplus - 1)[surplus - 1]
        older, equal = np.flatnonzero(storage.rank < worst), np.flatnonzero(storage.rank == worst)
        # Among equals the lower keys leave: repeatable.
        lowest = np.argsort(storage.keys[equal])[: surplus - len(older)]
        slots = np.concatenate([older, equal[lowest]])
        places = np.searchsorted(self._keys, storage.keys[slots])
        self._keys, self._slots = np.delete(self._keys, places), np.delete(self._slots, places)
        self._free = np.concatenate([self._free, slots])
        storage.empty(slots)
