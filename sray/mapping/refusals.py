"""What a mapper refuses in words a user can act on: poses that are none, and work that memory does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from sray.camera import Camera
from sray.errors import CanceledError, NoMemoryError, PoseError

_ALLOCATION_FAILED = (
    "DefaultCPUAllocator",
    "ALLOC_FAILED",
    "out of memory",
    "Cannot allocate memory",
    "Storage size calculation overflowed",
)
"""How torch says it where it has no exception of its own for it: the CPU's allocator, CUDA's libraries, and sizes that
no memory has."""


def check_pose(camera: Camera, whose: str) -> None:
    """Raises PoseError unless `world_from_camera` is finite and rigid (a rotation and a translation)."""
    pose = camera.world_from_camera.double()
    if not bool(torch.isfinite(pose).all()):
        raise PoseError(f"the pose of {whose} has values that are not finite", "a rigid transform")
    rotation = pose[:3, :3]
    error = float((rotation.T @ rotation - torch.eye(3, dtype=torch.float64)).abs().max())
    last_row = np.array_equal(pose[3].numpy(), [0, 0, 0, 1])
    if error > 1e-3 or float(torch.linalg.det(rotation)) < 0 or not last_row:
        raise PoseError(
            f"the pose of {whose} is not rigid (its axes are off by {error:.3g} from orthonormal, or mirrored)",
            "a rotation and a translation",
            "Normalize the quaternion, remove any scale",
        )


@contextmanager
def memory_errors(what: str, remedy: str) -> Iterator[None]:
    """Whatever memory says when it is short, on any device, as NoMemoryError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # torch.OutOfMemoryError is a RuntimeError, and speaks of it too.
        if not isinstance(error, MemoryError) and not any(words in str(error) for words in _ALLOCATION_FAILED):
            raise
        reason = (str(error).splitlines() or ["no more could be had"])[0]
        raise NoMemoryError(f"there was not enough memory to {what} ({reason})", remedy=f"Try {remedy}") from error


def go_on(canceled: Callable[[], bool] | None) -> None:
    """Raises CanceledError if the work on keyframes has been canceled."""
    if canceled is not None and canceled():
        raise CanceledError("canceled before all keyframes were ready; nothing has changed")
