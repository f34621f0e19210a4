"""Where a pixel of one frame should be in another, if the poses are right.

`Transfer` has matched pixels, as a function of their depth; `carry` takes every pixel of a frame by its recorded depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sray.frames import Frame

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Transfer:
    """Pixels (matches, 2) of a first frame as seen by a second, as a function of inverse depth."""

    infinity: Array
    """(matches, 2): where they would be if infinitely far."""
    direction: Array
    """(matches, 2): which way they move as they come nearer; zero where the cameras are in one place."""
    ahead: Array
    """(matches,): third homogeneous coordinate at infinity; not above 0 behind the second camera."""
    approach: float
    """Change of that coordinate with inverse depth."""

    @staticmethod
    def between(pixels: Array, intrinsics_first: Array, intrinsics_second: Array, second_from_first: Array) -> Transfer:
        """pixels (matches, 2), K (3, 3) each, and the relative pose (4, 4)."""
        rays = np.c_[pixels, np.ones(len(pixels))] @ np.linalg.inv(intrinsics_first).T
        far = rays @ (intrinsics_second @ second_from_first[:3, :3]).T
        shift = intrinsics_second @ second_from_first[:3, 3]
        in_front = np.where(far[:, 2] > 1e-9, far[:, 2], 1.0)
        infinity = far[:, :2] / in_front[:, None]
        return Transfer(infinity, shift[:2] - infinity * shift[2], far[:, 2], float(shift[2]))

    def pixels(self, depth: Array) -> Array:
        """Where points of depth (matches,) of the first camera land (matches, 2); NaN behind the second camera."""
        inverse = 1 / depth
        with np.errstate(invalid="ignore", divide="ignore"):
            z = self.ahead + inverse * self.approach
            share = np.where((self.ahead > 1e-9) & (z > 1e-9), inverse / z, np.nan)
        return np.asarray(self.infinity + share[:, None] * self.direction, np.float64)

    def best(self, seen: Array) -> tuple[Array, Array]:
        """Distance (matches,) in pixels between `seen` (matches, 2) and the nearest point of the epipolar ray, and its
        depth (matches,): the free-depth error and the triangulated depth.

        Only positive depths count, so a translation of the wrong sign shows. Depth is infinite where the best is
        infinitely far, and NaN where the second camera looks away; the distance is infinite there.
        """
        # The image of the viewing ray is straight: pixel = infinity + share * direction, 0 <= share < 1 / approach.
        length = (self.direction**2).sum(1)
        share = ((seen - self.infinity) * self.direction).sum(1) / np.maximum(length, 1e-24)
        share = np.clip(share, 0, 1 / self.approach if self.approach > 0 else np.inf)
        visible = self.ahead > 1e-9
        distance = np.linalg.norm(self.infinity + share[:, None] * self.direction - seen, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = (1 - share * self.approach) / (share * self.ahead)
        return np.where(visible, distance, np.inf), np.where(visible, depth, np.nan)


HIDDEN = 0.05
"""A point so much of its depth behind what the second frame sees is hidden; before it, one of them is wrong."""


@dataclass(frozen=True)
class Carried:
    """Pixels of a first frame that land inside a second one."""

    first: NDArray[np.int64]
    """(pixels, 2) column and row."""
    second: NDArray[np.int64]
    """(pixels, 2) column and row, rounded."""
    seen: NDArray[np.bool_]
    """(pixels,): both frames see the same surface there, by their depth; all true without depth in the second."""


def carry(first: Frame, second: Frame, stride: int = 1) -> Carried:
    """Carry the pixels with known depth, by the frames' own cameras."""
    assert first.depth is not None, "pixels are carried by depth"
    rows, columns = np.mgrid[0 : first.camera.height : stride, 0 : first.camera.width : stride]
    depth = first.depth.numpy()[rows, columns].astype(np.float64)
    known = np.isfinite(depth)
    pixels = np.stack([columns[known], rows[known]], axis=1)
    points = points_of(first, pixels, depth[known])
    camera = np.linalg.inv(second.camera.world_from_camera.double().numpy())
    local = points @ camera[:3, :3].T + camera[:3, 3]
    z = np.where(local[:, 2] > 1e-6, local[:, 2], np.nan)
    landing = (local / z[:, None]) @ second.camera.intrinsics.double().numpy().T
    with np.errstate(invalid="ignore"):
        inside = (
            (landing[:, 0] > -0.5)
            & (landing[:, 0] < second.camera.width - 0.5)
            & (landing[:, 1] > -0.5)
            & (landing[:, 1] < second.camera.height - 0.5)
        )
    target = landing[inside, :2].round().astype(np.int64)
    target = target.clip(0, [second.camera.width - 1, second.camera.height - 1])
    seen = np.ones(len(target), bool)
    if second.depth is not None:
        there = second.depth.numpy()[target[:, 1], target[:, 0]]
        with np.errstate(invalid="ignore"):
            seen = np.abs(z[inside] - there) < HIDDEN * there
    return Carried(pixels[inside], target, seen)


def points_of(frame: Frame, pixels: NDArray[np.int64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """World points (pixels, 3), meters, of pixels (pixels, 2) at depths (pixels,)."""
    inverse = np.linalg.inv(frame.camera.intrinsics.double().numpy())
    pose = frame.camera.world_from_camera.double().numpy()
    local = (np.c_[pixels, np.ones(len(pixels))] @ inverse.T) * depth[:, None]
    return np.asarray(local @ pose[:3, :3].T + pose[:3, 3], np.float64)
