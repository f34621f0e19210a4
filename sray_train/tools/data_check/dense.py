"""Every pixel of one frame carried into another by recorded depth, with what hides it left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sray.frames import Frame

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
