"""Poses of the keyframes as one batch, and which keyframe says least that a newer one does not say.

Both are kept up to date as keyframes enter and leave: a render, the gate and a full buffer ask for them all the time,
and to collect them from thousands of keyframes each time would cost more than what is done with them.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sray.camera import Camera


def pose_distances(
    pose: Float[Tensor, "4 4"], others: Float[Tensor, "views 4 4"], min_translation: float, min_rotation: float
) -> Float[Tensor, " views"]:
    """Distance of one pose to others, in units of the gate: 1 is just far enough to be another keyframe.

    The larger of translation / min_translation (metres) and rotation / min_rotation (degrees).
    """
    translation = (others[:, :3, 3] - pose[:3, 3]).norm(dim=-1)
    # trace(A^T B) = 1 + 2 cos(angle between the rotations)
    trace = (others[:, :3, :3] * pose[:3, :3]).sum(dim=(-1, -2))
    rotation = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
    return torch.maximum(translation / max(min_translation, 1e-9), rotation / max(min_rotation, 1e-9))


class KeyframePoses:
    """Cameras of one image size, oldest first; on the CPU."""

    def __init__(self, min_translation: float, min_rotation: float) -> None:
        self._units = (min_translation, min_rotation)
        self._cameras: Camera | None = None
        self._nearest = torch.zeros(0)
        """Distance of each to the nearest newer one, in units of the gate; infinite for the newest."""
        self._nearest_newer = torch.zeros(0, dtype=torch.long)
        """Which one that is; its own index for the newest."""

    def __len__(self) -> int:
        return len(self._nearest)

    @property
    def cameras(self) -> Camera:
        """All as one batch, not to be written to. Raises ValueError when there are none."""
        if self._cameras is None:
            raise ValueError("there are no keyframes, so there are no cameras; expected at least one keyframe")
        return self._cameras

    def set_units(self, min_translation: float, min_rotation: float) -> None:
        """Measure distances in other units from now on: metres, degrees."""
        if (min_translation, min_rotation) != self._units:
            self._units = (min_translation, min_rotation)
            self._find_nearest_newer(range(len(self)))

    def distances(self, pose: Float[Tensor, "4 4"], first: int = 0) -> Float[Tensor, " views"]:
        """Of a pose to all from `first` on, in units of the gate."""
        if self._cameras is None:
            return torch.zeros(0)
        return pose_distances(pose, self._cameras.world_from_camera[first:], *self._units)

    def append(self, camera: Camera) -> None:
        """One more, the newest. Raises ValueError if its size is not that of the others; nothing changes then."""
        one, known = Camera.stack([camera]), self._cameras
        if known is not None and (camera.width, camera.height) != (known.width, known.height):
            raise ValueError(
                f"the frame has size {camera.width}x{camera.height}, the keyframes held {known.width}x{known.height}; "
                "expected one size, resize the frame first"
            )
        newest = len(self)
        distances = self.distances(camera.world_from_camera)
        is_nearer = distances < self._nearest
        self._nearest = torch.cat([torch.where(is_nearer, distances, self._nearest), torch.tensor([torch.inf])])
        self._nearest_newer = torch.cat([torch.where(is_nearer, newest, self._nearest_newer), torch.tensor([newest])])
        self._cameras = (
            one
            if known is None
            else Camera(
                torch.cat([known.intrinsics, one.intrinsics]),
                torch.cat([known.world_from_camera, one.world_from_camera]),
                known.width,
                known.height,
            )
        )

    def keep(self, kept: Bool[Tensor, " views"]) -> None:
        """Let all others leave."""
        widowed = ~kept[self._nearest_newer] & kept
        index_now = kept.cumsum(0) - 1
        self._cameras = self.cameras[kept] if bool(kept.any()) else None
        self._nearest = self._nearest[kept]
        self._nearest_newer = index_now[self._nearest_newer[kept]]
        self._find_nearest_newer(index_now[widowed].tolist())

    def most_redundant(self) -> int:
        """The older one of the closest pair; the pair that has the oldest member first among equals. Needs two."""
        return int(self._nearest[:-1].argmin())

    def _find_nearest_newer(self, indices: range | list[int]) -> None:
        for index in indices:
            distances = self.distances(self.cameras.world_from_camera[index], index + 1)
            nearest = int(distances.argmin()) if len(distances) else -1
            self._nearest_newer[index] = index + 1 + nearest
            self._nearest[index] = distances[nearest] if len(distances) else torch.inf
