"""Rectifier: pictures, depth and labels of a camera with a lens, as its pinhole camera would have taken them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.calibration import Calibration
from sray.label_space import VOID

FAR_OUTSIDE = 1e4
"""Pixels from the middle that a table points to where no pixel of the picture is seen: in the pixel's own direction, so
that the nearest edge is the one on its side."""


class Rectifier:
    """Undistorts with OpenCV; the tables of the last calibration are kept, since they cost more than the pictures."""

    def __init__(self) -> None:
        self._last: tuple[Calibration, tuple[NDArray[np.float32], NDArray[np.float32]]] | None = None
        """One value, so that several threads may use one rectifier."""

    def picture(self, calibration: Calibration, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(height, width, channels), interpolated; outside, the nearest edge: black would be blended into views."""
        return self._remap(calibration, picture, cv2.INTER_LINEAR, None)

    def depth(self, calibration: Calibration, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """Camera z (height, width). Nearest, as depths on both sides of an edge have no mean; NaN outside."""
        rectified = self._remap(calibration, depth, cv2.INTER_NEAREST, float("nan"))
        if calibration.is_turned:  # another axis, another z
            rectified = (rectified * _depth_factor(calibration)).astype(np.float32)
        return rectified

    def labels(self, calibration: Calibration, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Nearest, as classes have no mean either; unlabeled outside."""
        return self._remap(calibration, labels, cv2.INTER_NEAREST, float(VOID))

    def _remap(
        self, calibration: Calibration, image: NDArray[Any], interpolation: int, outside: float | None
    ) -> NDArray[Any]:
        """`outside`: what pixels have that the lens does not show; None: the nearest edge."""
        if calibration.is_pinhole:
            return image
        last = self._last
        if last is None or not _same(last[0], calibration):
            self._last = last = calibration, rectification_tables(calibration)
        mode = cv2.BORDER_REPLICATE if outside is None else cv2.BORDER_CONSTANT
        remapped: NDArray[Any] = cv2.remap(image, *last[1], interpolation, borderMode=mode, borderValue=outside or 0.0)
        return remapped


def rectification_tables(calibration: Calibration) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row (height, width) of the distorted picture at which each pixel of the rectified one is seen.

    Both have the same K and size. Far outside the picture where the lens model turns back on itself: a polynomial that
    fits the picture's middle may show it again beyond its edge.
    """
    k, lens = calibration.intrinsics, calibration.lens
    size, coefficients = (calibration.width, calibration.height), np.array(lens.coefficients or (0.0,) * 4)
    make = cv2.fisheye.initUndistortRectifyMap if lens.is_fisheye else cv2.initUndistortRectifyMap
    columns, rows = make(k, coefficients, calibration.rotation, k, size, cv2.CV_32FC1)
    beyond = _turned_back(calibration)
    at_row, at_column = np.nonzero(beyond)
    away = np.stack([at_column - k[0, 2], at_row - k[1, 2]])
    away *= FAR_OUTSIDE / np.maximum(np.hypot(*away), 1.0)
    columns[beyond], rows[beyond] = away[0] + k[0, 2], away[1] + k[1, 2]
    return columns, rows


def _turned_back(calibration: Calibration) -> NDArray[np.bool_]:
    """Pixels (height, width) of the rectified picture beyond the radius at which the distorted radius shrinks again."""
    rays = _rays(calibration) @ calibration.rotation  # rows: R^T d, in unrectified axes
    in_front = rays[..., 2] > 1e-6
    radius = np.hypot(rays[..., 0], rays[..., 1]) / np.where(in_front, rays[..., 2], 1.0)
    sampled = np.linspace(0, radius[in_front].max(initial=0.0), 2000)
    shrinks = np.flatnonzero(np.diff(_distorted_radius(calibration, sampled)) < 0)
    last = sampled[shrinks[0]] if len(shrinks) else np.inf
    return np.asarray(~in_front | (radius > last))


def _distorted_radius(calibration: Calibration, radius: NDArray[np.float64]) -> NDArray[np.float64]:
    c = np.zeros(14)
    c[: len(calibration.lens.coefficients)] = calibration.lens.coefficients
    if calibration.lens.is_fisheye:
        angle = np.arctan(radius)
        return np.asarray(angle * (1 + sum(c[i] * angle ** (2 * i + 2) for i in range(4))))
    r2 = radius**2
    return np.asarray(
        radius * (1 + c[0] * r2 + c[1] * r2**2 + c[4] * r2**3) / (1 + c[5] * r2 + c[6] * r2**2 + c[7] * r2**3)
    )


def _depth_factor(calibration: Calibration) -> NDArray[np.float64]:
    """Rectified over unrectified camera z of what each pixel (height, width) shows."""
    z = (_rays(calibration) @ calibration.rotation)[..., 2]
    return np.divide(1.0, z, out=np.full_like(z, np.nan), where=z > 1e-6)


def _rays(calibration: Calibration) -> NDArray[np.float64]:
    """Of each pixel (height, width, 3) of the rectified picture, with z = 1."""
    columns, rows = np.meshgrid(np.arange(calibration.width), np.arange(calibration.height))
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1).astype(np.float64)
    return np.asarray(pixels @ np.linalg.inv(calibration.intrinsics).T)


def _same(a: Calibration, b: Calibration) -> bool:
    return (
        (a.width, a.height, a.lens) == (b.width, b.height, b.lens)
        and np.array_equal(a.intrinsics, b.intrinsics)
        and np.array_equal(a.rotation, b.rotation)
    )
