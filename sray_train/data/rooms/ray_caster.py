"""Ray casting against triangles with Embree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Hits:
    """What rays meet first. Distances are in lengths of the direction given, which need not be 1."""

    distance: Array
    triangle: NDArray[np.int64]
    """-1: nothing."""
    u: Array
    """Weight of the triangle's second corner."""
    v: Array
    """Weight of the third."""


class RayCaster:
    """Triangles (count, 3, 3) that rays can be shot at. Both sides are hit."""

    def __init__(self, vertices: Array) -> None:
        corners = np.ascontiguousarray(vertices.reshape(-1, 3), np.float32)
        self._scene = EmbreeScene()
        # Embree reads the mesh from memory that the mesh object owns, so it is kept.
        self._mesh = TriangleMesh(self._scene, corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3))

    def cast(self, origins: Array, directions: Array) -> Hits:
        """First hits of rays; both arguments (rays, 3)."""
        found = self._scene.run(
            np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32), output=1
        )
        return Hits(found["tfar"], found["primID"].astype(np.int64), found["u"], found["v"])

    def occluded(self, origins: Array, directions: Array, distance: Array) -> NDArray[np.bool_]:
        """Whether anything lies on a ray before `distance` (rays,)."""
        found = self._scene.run(
            np.ascontiguousarray(origins, np.float32),
            np.ascontiguousarray(directions, np.float32),
            np.ascontiguousarray(distance, np.float32),
            query="OCCLUDED",
        )
        return np.asarray(found != -1)
