"""Depth seen by one camera, as another camera beside it sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DepthRegistration:
    """Depth of a depth camera, resampled into a color camera by their calibration, nearest, never blended.

    With one optical center (ScanNet: the extrinsics are the identity) each color pixel looks up the depth pixel on
    its ray, which is exact but for rounding. Otherwise depth is first moved, point by point and the nearest in front,
    into a camera at the color camera's place with the depth camera's K and size: as many pixels as points, so few
    gaps. What no point falls on is NaN.
    """

    depth_intrinsics: NDArray[np.float64]
    color_from_depth: NDArray[np.float64] | None
    """(4, 4); None: one optical center and direction."""
    lookup: NDArray[np.int32]
    """(height, width) of the color camera: index of its depth pixel, or one past the last where there is none."""

    @staticmethod
    def between(
        depth_intrinsics: NDArray[np.float64],
        color_intrinsics: NDArray[np.float64],
        color_from_depth: NDArray[np.float64],
        depth_size: tuple[int, int],
        color_size: tuple[int, int],
    ) -> DepthRegistration:
        """From K (3, 3) of both, the pose of the depth camera in the color camera, and width and height of both."""
        columns, rows = np.meshgrid(np.arange(color_size[0]), np.arange(color_size[1]))
        pixels = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
        homography = depth_intrinsics @ np.linalg.inv(color_intrinsics)
        lookup = _pixel_index(homography @ pixels, depth_size)
        still = np.allclose(color_from_depth, np.eye(4), atol=1e-6)
        return DepthRegistration(
            depth_intrinsics,
            None if still else color_from_depth,
            lookup.reshape(color_size[1], color_size[0]).astype(np.int32),
        )

    def apply(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Camera z in meters (NaN: none) at the depth camera's size, to the color camera's z at its size."""
        if self.color_from_depth is not None:
            depth = self._moved(depth)
        return np.append(depth.ravel(), np.float32(np.nan))[self.lookup]

    def _moved(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self.color_from_depth is not None
        height, width = depth.shape
        rows, columns = np.nonzero(depth > 0)  # false where NaN
        rays = np.linalg.inv(self.depth_intrinsics) @ np.stack([columns, rows, np.ones_like(rows)])
        points = self.color_from_depth[:3, :3] @ (rays * depth[rows, columns]) + self.color_from_depth[:3, 3:]
        points = points[:, points[2] > 1e-6]
        index = _pixel_index(self.depth_intrinsics @ points, (width, height))
        moved = np.full(width * height + 1, np.inf, np.float32)
        np.minimum.at(moved, index, points[2].astype(np.float32))
        moved[np.isinf(moved)] = np.nan
        return moved[:-1].reshape(height, width)


def _pixel_index(projected: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.int64]:
    """Row by row index of the pixel nearest to (3, points) homogeneous pixels; width * height outside the picture."""
    width, height = size
    column, row = np.rint(projected[:2] / projected[2]).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.where(inside, row * width + column, width * height)
