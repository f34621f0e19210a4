"""Pictures of a run: overlays, errors, depth and confidence as colours, the map from above. RGB uint8 arrays."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from sray.errors import ErrorCode, SrayError
from sray.label_space import VOID
from sray.mapping.cloud import LabelledCloud

Picture = NDArray[np.uint8]
PAPER = (255, 255, 255)
RIGHT, WRONG, UNANSWERED, UNSCORED = (226, 236, 228), (208, 58, 48), (242, 186, 96), (255, 255, 255)
"""Colours of the error picture: labelled rightly, wrongly, left void; no ground truth."""


def error(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Picture:
    """Where the labels are right, wrong, void, or not to be judged."""
    picture = np.empty((*labels.shape, 3), np.uint8)
    picture[:] = WRONG
    picture[labels == truth] = RIGHT
    picture[labels == VOID] = UNANSWERED
    picture[truth == VOID] = UNSCORED
    return picture


def depth_colours(depth: NDArray[np.float32], near: float, far: float) -> Picture:
    """Near is bright, far is dark; void is paper."""
    known = np.isfinite(depth)
    scaled = np.clip((np.where(known, depth, near) - near) / max(far - near, 1e-6), 0, 1)
    return _painted(1 - scaled, "viridis", known)


def confidence_colours(confidence: NDArray[np.float32], labels: NDArray[np.uint8]) -> Picture:
    """0 dark to 1 bright; void is paper."""
    return _painted(np.clip(np.nan_to_num(confidence), 0, 1), "magma", labels != VOID)


def map_from_above(
    cloud: LabelledCloud,
    colours: Picture,
    path: NDArray[np.float32],
    up: NDArray[np.float32],
    longest_side: int = 900,
) -> tuple[Picture, float]:
    """An orthographic look down on the map without what hangs above the camera, and the metres per pixel.

    `colours` (points, 3) paints the points. The camera's path is drawn over it, its start as a ring.
    """
    right, forward = _ground_axes(up)
    floor = np.stack([cloud.points @ right, cloud.points @ forward], axis=1)
    height = cloud.points @ up
    # Ceilings, and what floats above head height of the camera, would hide the room.
    kept = height < (np.median(path @ up) + 0.35 if len(path) else np.inf)
    walked = np.stack([path @ right, path @ forward], axis=1)
    if not kept.any():
        return np.full((120, 160, 3), 255, np.uint8), 1.0
    low = np.percentile(floor[kept], 1, axis=0)
    high = np.percentile(floor[kept], 99, axis=0)
    if len(walked):
        low, high = np.minimum(low, walked.min(0)), np.maximum(high, walked.max(0))
    low, high = low - 0.2, high + 0.2
    scale = float((high - low).max()) / longest_side
    columns, rows = np.ceil((high - low) / scale).astype(int)

    def pixel(points: NDArray[np.floating]) -> NDArray[np.int64]:
        across, along = ((points - low) / scale).T
        return np.stack([across, rows - along], axis=1).astype(np.int64)

    picture = np.full((rows, columns, 3), 255, np.uint8)
    radius = max(2, round(0.028 / scale))
    order = np.flatnonzero(kept)[np.argsort(height[kept])]  # from the floor up: the highest is seen
    for index, (x, y) in zip(order, pixel(floor[order]), strict=True):
        corner, opposite = (int(x) - radius, int(y) - radius), (int(x) + radius, int(y) + radius)
        cv2.rectangle(picture, corner, opposite, colours[index].tolist(), cv2.FILLED)
    if len(walked):
        line = pixel(walked).reshape(-1, 1, 2).astype(np.int32)
        for colour, width in ((PAPER, 7), ((25, 28, 34), 3)):
            cv2.polylines(picture, [line], False, colour, width, cv2.LINE_AA)
        start = tuple(int(value) for value in line[0, 0])
        cv2.circle(picture, start, 11, PAPER, cv2.FILLED, cv2.LINE_AA)
        cv2.circle(picture, start, 8, (25, 28, 34), 3, cv2.LINE_AA)
    return picture, scale


def up_of(world_from_camera: NDArray[np.floating]) -> NDArray[np.float32]:
    """Against gravity, from poses (frames, 4, 4): cameras are held upright on average, and maps have upright axes."""
    mean = -world_from_camera[:, :3, 1].mean(0)
    axis = int(np.abs(mean).argmax())
    up = np.zeros(3, np.float32)
    up[axis] = np.sign(mean[axis])
    return up


def write_picture(path: Path, picture: Picture) -> None:
    """As PNG. Raises SrayError(BAD_FILE) if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise SrayError(ErrorCode.BAD_FILE, f"{path} cannot be written; expected a writable folder with free space")


def _painted(values: NDArray[np.floating], palette: str, known: NDArray[np.bool_]) -> Picture:
    colours: Picture = (colormaps[palette](values)[..., :3] * 255).round().astype(np.uint8)
    colours[~known] = PAPER
    return colours


def _ground_axes(up: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Right and forward on the ground, so that (right, forward, up) is right-handed: a plan, not its mirror image."""
    axis = int(np.abs(up).argmax())
    right = np.zeros(3, np.float32)
    right[(axis + 1) % 3] = 1
    return right, np.cross(up, right).astype(np.float32)
