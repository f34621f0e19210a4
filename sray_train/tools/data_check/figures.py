"""The pictures of the report page."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sray.frames import Frame
from sray.label_space import LabelSpace
from sray_train.tools.data_check.camera_checks import Geometry
from sray_train.tools.data_check.matches import MatchedPair
from sray_train.tools.data_check.sample import Sample
from sray_train.tools.data_check.trajectory import jumps
from sray_train.tools.data_check.transfer import carry
from sray_train.tools.report.pictures import Picture, drawn

GOOD, BAD = (40, 160, 80), (214, 48, 40)


def enlarged(picture: Picture, width: int = 480) -> Picture:
    """Small pictures scaled up by a whole factor, pixels staying pixels; large ones as they are."""
    factor = max(1, width // picture.shape[1])
    return np.ascontiguousarray(picture.repeat(factor, 0).repeat(factor, 1))


def misses(geometry: Geometry, pair: MatchedPair) -> Picture:
    """The second frame of a pair; a line from each matched point to where its cameras would have it: short is good."""
    frame = geometry.sample.frame(pair.second)
    assert frame is not None, "a matched pair has two readable frames"
    canvas = enlarged(frame.image.numpy() // 2 + 64)
    scale = canvas.shape[1] / frame.camera.width
    transfer = geometry.own(pair)
    distance, depth = transfer.best(pair.pixels_second)
    inverse = np.where(np.isfinite(depth), 1 / np.maximum(depth, 1e-12), 0)
    with np.errstate(invalid="ignore"):
        share = inverse / (transfer.ahead + inverse * transfer.approach)
    expected = transfer.infinity + share[:, None] * transfer.direction
    limit = max(2.0, 0.01 * frame.camera.width)
    for seen, there, miss in zip(pair.pixels_second, expected, distance, strict=True):
        color = GOOD if miss < limit else BAD
        start = _pixel(seen, scale)
        if np.isfinite(there).all() and np.abs(there).max() < 1e5:
            cv2.line(canvas, start, _pixel(there, scale), color, 1, cv2.LINE_AA)
        cv2.circle(canvas, start, 3, color, cv2.FILLED, cv2.LINE_AA)
    return canvas


def reprojected(geometry: Geometry, pair: MatchedPair, factor: float = 1.0) -> Picture | None:
    """The first frame carried into the second by recorded depth, in a checkerboard with the second: edges must meet."""
    first, second = geometry.frame(pair.first), geometry.frame(pair.second)
    if first is None or second is None or first.depth is None:
        return None
    carried = carry(replace(first, depth=first.depth * factor), replace(second, depth=None))
    picture = second.image.numpy().copy()
    warped = np.full_like(picture, 245)
    warped[carried.second[:, 1], carried.second[:, 0]] = first.image.numpy()[carried.first[:, 1], carried.first[:, 0]]
    side = max(8, picture.shape[1] // 8)
    rows, columns = np.indices(picture.shape[:2]) // side
    checker = (rows + columns) % 2 == 0
    picture[checker] = warped[checker]
    return enlarged(picture)


def labeled(frame: Frame, space: LabelSpace) -> Picture:
    """The frame with its classes over it."""
    assert frame.labels is not None, "asked for frames with labels"
    return enlarged(space.overlay(frame.image.numpy(), frame.labels.numpy()))


def path_from_above(sample: Sample, geometry: Geometry) -> Picture:
    """The cameras' centers and viewing directions in the two directions they spread most; jumps in red."""
    poses = np.stack([geometry.poses.convert(pose) for pose in sample.poses])
    centers, forward = poses[:, :3, 3], poses[:, :3, 2]
    # Without trusting "up": the plane of the cameras' side and viewing axes is level for a camera held upright.
    up = -poses[:, :3, 1].mean(0)
    axis = int(np.abs(up).argmax())
    across, along = (axis + 1) % 3, (axis + 2) % 3
    figure = Figure(figsize=(5.6, 4.6), dpi=110, layout="tight")
    axes = figure.subplots()
    axes.plot(centers[:, across], centers[:, along], color="#1f5fa8", linewidth=1.2)
    every = max(1, len(poses) // 40)
    axes.quiver(
        centers[::every, across], centers[::every, along], forward[::every, across], forward[::every, along],
        color="#8a94a3", width=0.003, scale=18,
    )  # fmt: skip
    axes.plot(centers[0, across], centers[0, along], "o", color="#1d2129", fillstyle="none", label="start")
    for position in jumps(sample):
        ends = centers[position - 1 : position + 1]
        axes.plot(ends[:, across], ends[:, along], color="#d63028", linewidth=1.6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(f"world {'xyz'[across]}, m as stored")
    axes.set_ylabel(f"world {'xyz'[along]}, m as stored")
    axes.legend(frameon=False, loc="best")
    return drawn(figure)


def depth_histogram(sample: Sample) -> Picture | None:
    """Of all sampled frames; None without depth."""
    known = [frame.depth.numpy() for frame in sample.frames.values() if frame.depth is not None]
    values = np.concatenate([depth[np.isfinite(depth)] for depth in known]) if known else np.zeros(0)
    if not len(values):
        return None
    figure = Figure(figsize=(5.6, 4.6), dpi=110, layout="tight")
    axes = figure.subplots()
    top = float(np.percentile(values, 99.5)) * 1.05 or 1.0
    axes.hist(values[values <= top], bins=80, color="#1f5fa8", alpha=0.8)
    axes.axvline(float(np.median(values)), color="#1d2129", linewidth=1, label=f"median {np.median(values):.3g} m")
    axes.set_xlabel("depth as read, m")
    axes.set_ylabel("pixels")
    axes.legend(frameon=False)
    return drawn(figure)


def shown_pair(geometry: Geometry) -> MatchedPair | None:
    """A pair that matches well and moves too."""
    return max(geometry.telling, key=lambda pair: len(pair) * math.sqrt(pair.motion), default=None)


def _pixel(point: NDArray[np.float64], scale: float) -> tuple[int, int]:
    return round(float(point[0] + 0.5) * scale), round(float(point[1] + 0.5) * scale)
