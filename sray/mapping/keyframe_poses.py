"""Poses of the keyframes as one batch, and which keyframe says least that a newer one does not say.

Both are kept up to date as keyframes enter and leave: a render, the gate and a full buffer ask for them all the time,
and to collect them from thousands of keyframes each time would cost more than what is done with them.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sray.camera import Camera
from sray.origin import WORLD, Origin


def pose_distances(
    pose: Float[Tensor, "4 4"], others: Float[Tensor, "views 4 4"], min_translation: float, min_rotation: float
) -> Float[Tensor, " views"]:
    """Distance of one pose to others, in units of the gate: 1 is just far enough to be another keyframe.

    The larger of translation / min_translation (meters) and rotation / min_rotation (degrees).
    """
    translation = (others[:, :3, 3] - pose[:3, 3]).norm(dim=-1)
    # trace(A^T B) = 1 + 2 cos(angle between the rotations)
    trace = (others[:, :3, :3] * pose[:3, :3]).sum(dim=(-1, -2))
    rotation = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
    return torch.maximum(translation / max(min_translation, 1e-9), rotation / max(min_rotation, 1e-9))


class Rows:
    """One row per keyframe, oldest first, in memory that doubles when it is full.

    A new tensor for each keyframe would leave holes of all sizes in the heap, and every later allocation searches them:
    with 10 000 keyframes the whole process took two to three times as long for anything.
    """

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float32) -> None:
        self._memory = torch.zeros(64, *shape, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def all(self) -> Tensor:
        """The memory itself: it changes with the next keyframe that enters or leaves."""
        return self._memory[: self._count]

    def append(self, row: Tensor | float | int) -> None:
        if self._count == len(self._memory):
            self._memory = torch.cat([self._memory, torch.zeros_like(self._memory)])
        self._memory[self._count] = row
        self._count += 1

    def keep(self, kept: Bool[Tensor, " views"]) -> None:
        """Let all other rows leave."""
        rows = self.all[kept]
        self._count = len(rows)
        self._memory[: self._count] = rows


class KeyframePoses:
    """Cameras of one image size, oldest first; on the CPU."""

    def __init__(self, min_translation: float, min_rotation: float) -> None:
        self._units = (min_translation, min_rotation)
        self._size = (0, 0)
        self._intrinsics, self._poses = Rows(3, 3), Rows(4, 4)
        self._world_poses = Rows(4, 4, dtype=torch.float64)
        """What `_poses` are made of anew when the origin moves."""
        self._origin = WORLD
        """Of the newest one: the batch is exact where the camera is."""
        self._nearest = Rows()
        """Distance of each to the nearest newer one, in units of the gate; infinite for the newest."""
        self._nearest_newer = Rows(dtype=torch.long)
        """Which one that is; its own index for the newest."""

    def __len__(self) -> int:
        return len(self._nearest)

    @property
    def cameras(self) -> Camera:
        """All as one batch, for use at once: it changes with the keyframes. Raises ValueError when there are none."""
        if not len(self):
            raise ValueError("there are no keyframes, so there are no cameras; expected at least one keyframe")
        return Camera(self._intrinsics.all, self._poses.all, *self._size, self._origin)

    def set_units(self, min_translation: float, min_rotation: float) -> None:
        """Measure distances in other units from now on: meters, degrees."""
        if (min_translation, min_rotation) != self._units:
            self._units = (min_translation, min_rotation)
            self._find_nearest_newer(range(len(self)))

    def distances(self, camera: Camera) -> Float[Tensor, " views"]:
        """Of a camera to all, in units of the gate."""
        return self._distances(camera.relative_to(self._origin).world_from_camera)

    def _distances(self, pose: Float[Tensor, "4 4"], first: int = 0) -> Float[Tensor, " views"]:
        return pose_distances(pose, self._poses.all[first:], *self._units)

    def _move(self, origin: Origin) -> None:
        """Take all poses relative to another origin."""
        self._origin = origin
        self._poses.all[:] = origin.local_pose(self._world_poses.all.numpy())

    def append(self, camera: Camera) -> None:
        """One more, the newest. Raises ValueError if its size is not that of the others; nothing changes then."""
        newest, size = len(self), (camera.width, camera.height)
        if newest and size != self._size:
            raise ValueError(
                f"the frame has size {size[0]}x{size[1]}, the keyframes held {self._size[0]}x{self._size[1]}; "
                "expected one size, resize the frame first"
            )
        self._size = size
        if camera.origin != self._origin:
            self._move(camera.origin)
        distances = self._distances(camera.world_from_camera)
        is_nearer = distances < self._nearest.all
        self._nearest.all[is_nearer] = distances[is_nearer]
        self._nearest_newer.all[is_nearer] = newest
        self._nearest.append(torch.inf)
        self._nearest_newer.append(newest)
        self._intrinsics.append(camera.intrinsics)
        self._poses.append(camera.world_from_camera)
        self._world_poses.append(torch.from_numpy(camera.world_pose))

    def keep(self, kept: Bool[Tensor, " views"]) -> None:
        """Let all others leave."""
        widowed = ~kept[self._nearest_newer.all] & kept
        index_now = kept.cumsum(0) - 1
        self._nearest_newer.all[:] = index_now[self._nearest_newer.all]
        for rows in (self._intrinsics, self._poses, self._world_poses, self._nearest, self._nearest_newer):
            rows.keep(kept)
        self._find_nearest_newer(index_now[widowed].tolist())

    def most_redundant(self) -> int:
        """The older one of the closest pair; the pair that has the oldest member first among equals. Needs two."""
        return int(self._nearest.all[:-1].argmin())

    def _find_nearest_newer(self, indices: range | list[int]) -> None:
        for index in indices:
            distances = self._distances(self._poses.all[index], index + 1)
            nearest = int(distances.argmin()) if len(distances) else -1
            self._nearest_newer.all[index] = index + 1 + nearest
            self._nearest.all[index] = distances[nearest] if len(distances) else torch.inf
