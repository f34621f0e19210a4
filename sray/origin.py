"""Origin: where a scene's own frame lies in the world, so that coordinates in float32 stay small.

A pose in UTM coordinates, or of a robot that has driven for hours, is hundreds or thousands of kilometers from the
world's origin, where float32 has steps of 0.03 to 0.5 m. So poses are float64 where they come in and where they go out.
In between, cameras and points are float32 in a frame whose axes are the world's and whose origin is a place near the
cameras. That place is rounded to whole kilometers: a scene near the world's origin keeps the world's own coordinates,
and all readers of one scene choose the same origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

SPACING = 1000.0
"""Meters between possible origins. Half of it is the largest coordinate near an origin: float32 steps of 0.03 mm."""


class Origin(NamedTuple):
    """A place in the world: meters, each a multiple of SPACING."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0

    @staticmethod
    def near(position: NDArray[np.floating] | Sequence[float]) -> Origin:
        """The nearest origin to a position (3,) in the world, meters. The position has to be finite."""
        x, y, z = (float(value) + 0.0 for value in np.round(np.asarray(position, np.float64) / SPACING) * SPACING)
        return Origin(x, y, z)

    @property
    def is_world(self) -> bool:
        """Whether the scene's frame is the world's own."""
        return self == WORLD

    def local_pose(self, world_from_camera: NDArray[np.floating]) -> Float[Tensor, "*views 4 4"]:
        """World poses (..., 4, 4), float64, as float32 poses in this origin's frame."""
        pose = np.array(world_from_camera, np.float64)
        pose[..., :3, 3] -= self
        return torch.from_numpy(pose).float()

    def world_pose(self, pose: Float[Tensor, "*views 4 4"]) -> NDArray[np.float64]:
        """Poses in this origin's frame as world poses (..., 4, 4) in float64."""
        world: NDArray[np.float64] = pose.detach().cpu().double().numpy().copy()
        world[..., :3, 3] += self
        return world

    def offset_from(self, other: Origin) -> NDArray[np.float64]:
        """(3,) meters: what is added to coordinates in this origin's frame to have them in the other's."""
        return np.subtract(self, other, dtype=np.float64)

    def __str__(self) -> str:
        return f"({self.x:.0f}, {self.y:.0f}, {self.z:.0f}) m"


WORLD = Origin()
"""The world's own origin."""
