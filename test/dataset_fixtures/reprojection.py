"""Does a recording agree with itself? Points of one frame are moved into another and compared with what is there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dataset_fixtures.relief import View
from sray.frames import Frame
from sray.label_space import VOID


@dataclass(frozen=True)
class Seen:
    """A frame as plain arrays."""

    intrinsics: np.ndarray
    pose: np.ndarray
    rgb: np.ndarray
    depth: np.ndarray
    labels: np.ndarray | None

    @staticmethod
    def of(frame: Frame, depth: np.ndarray | None = None) -> Seen:
        """`depth`: of a dataset that has none, to tell where its points are."""
        return Seen(
            frame.camera.intrinsics.double().numpy(),
            frame.camera.world_from_camera.double().numpy(),
            frame.image.double().numpy(),
            frame.depth.double().numpy() if depth is None else depth,
            None if frame.labels is None else frame.labels.numpy(),
        )


@dataclass(frozen=True)
class Agreement:
    """Shares of the points of one frame that land in the other's picture."""

    landed: float
    """Of all points."""
    depth: float
    """Within 5 %."""
    color: float
    """Within 14 of 255 in each channel; `depth` must hold too."""
    labels: float | None
    """The same; `depth` must hold too. Of the labeled ones."""


def agreement(first: Seen, second: Seen) -> Agreement:
    """Points of the first, moved to the second by its depth, both K and both poses."""
    rows, columns = np.nonzero(first.depth > 0)
    depth = first.depth[rows, columns]
    points = np.linalg.inv(first.intrinsics) @ np.stack([columns * depth, rows * depth, depth])
    points = first.pose[:3, :3] @ points + first.pose[:3, 3:]
    there = np.linalg.inv(second.pose)
    moved = there[:3, :3] @ points + there[:3, 3:]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixel = np.rint((second.intrinsics @ moved)[:2] / moved[2])
    height, width = second.depth.shape
    kept = (moved[2] > 0.01) & (pixel >= 0).all(0) & (pixel[0] < width) & (pixel[1] < height)
    u, v = pixel[:, kept].astype(int)
    close = np.abs(moved[2, kept] - second.depth[v, u]) < 0.05 * moved[2, kept]  # NaN is not close
    alike = np.abs(first.rgb[rows[kept], columns[kept]] - second.rgb[v, u]).max(-1) <= 14
    labels = None
    if first.labels is not None and second.labels is not None:
        here, seen = first.labels[rows[kept], columns[kept]], second.labels[v, u]
        known = (here != VOID) & (seen != VOID)
        labels = float((close & (here == seen))[known].mean()) if known.any() else 0.0
    if not kept.any():
        return Agreement(0.0, 0.0, 0.0, labels)
    return Agreement(float(kept.mean()), float(close.mean()), float((close & alike).mean()), labels)


def flipped_up(seen: Seen) -> Seen:
    return replace(seen, pose=seen.pose @ np.diag([1.0, -1, 1, 1]))


def opengl(seen: Seen) -> Seen:
    return replace(seen, pose=seen.pose @ np.diag([1.0, -1, -1, 1]))


def transposed(seen: Seen) -> Seen:
    pose = seen.pose.copy()
    pose[:3, :3] = pose[:3, :3].T
    return replace(seen, pose=pose)


def inverted(seen: Seen) -> Seen:
    return replace(seen, pose=np.linalg.inv(seen.pose))


def swapped_columns(seen: Seen) -> Seen:
    return replace(seen, pose=seen.pose[:, [1, 0, 2, 3]])


def mirrored(seen: Seen) -> Seen:
    return replace(seen, rgb=seen.rgb[:, ::-1], depth=seen.depth[:, ::-1])


def upside_down(seen: Seen) -> Seen:
    return replace(seen, rgb=seen.rgb[::-1], depth=seen.depth[::-1])


def half_resolution(seen: Seen) -> Seen:
    return replace(seen, intrinsics=seen.intrinsics * np.array([[0.5], [0.5], [1]]))


BREAKS = [flipped_up, opengl, transposed, inverted, swapped_columns, mirrored, upside_down, half_resolution]
"""What readers get wrong."""


def assert_consistent(frames: list[Frame], truths: list[View], intrinsics: np.ndarray, *, color_only: bool = False):
    """Cameras as they were rendered, every pair of frames agreeing, color where it was."""
    seen = [Seen.of(frame, truth.depth if color_only else None) for frame, truth in zip(frames, truths, strict=True)]
    for each, truth in zip(seen, truths, strict=True):
        np.testing.assert_allclose(each.intrinsics, intrinsics, rtol=1e-6)
        np.testing.assert_allclose(each.pose, truth.pose, atol=2e-6)
        assert np.median(np.abs(each.rgb - truth.rgb)) <= 2
    for first in seen:
        for second in seen:
            found = agreement(first, second)
            assert found.landed > 0.6
            assert found.color > 0.75
            assert color_only or (found.labels is not None and found.labels > 0.75)
