"""A rendered path as a video: color, labels and depth side by side, and what the label colors mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.label_space import VOID, LabelSpace
from sray.viewing.pictures import RGB, depth_range, painted
from sray.viewing.video import VideoFile
from sray_train.tools.rendering.render_folder import RenderFolder

LEAST_WIDTH = 320
"""Pixels of one of the three pictures: smaller ones are enlarged by a whole number."""
ROW = 22
"""Pixels: height of a line of the legend."""
SAMPLED = 50
"""Pictures whose depths set the range of the colors."""


def write_video(path: Path, folder: RenderFolder, numbers: Sequence[int], rate: float) -> None:
    """Write the pictures of these numbers as MP4 (MPEG-4), `rate` a second; the file appears whole or not at all.

    Raises FileError if a picture is missing or the video cannot be written.
    """
    # One range for the whole video: else a wall changes its color without moving.
    looked_at = numbers[:: max(1, len(numbers) // SAMPLED)]
    ends = depth_range(np.concatenate([np.zeros(0), *(_meters(folder, number).ravel() for number in looked_at)]))
    legend: RGB | None = None
    with VideoFile(path, rate) as video:
        for number in numbers:
            labels, depth = folder.picture("labels", number), painted(_meters(folder, number), "depth", ends)
            times = max(1, -(-LEAST_WIDTH // labels.shape[1]))
            parts = [folder.picture("color", number), folder.label_space.colorize(labels), depth]
            strip = np.concatenate([_enlarged(part, times) for part in parts], axis=1)
            if legend is None:
                legend = legend_strip(folder.label_space, _present(folder, numbers), strip.shape[1])
            video.write(np.concatenate([strip, legend], axis=0))


def legend_strip(space: LabelSpace, present: Sequence[int], width: int) -> RGB:
    """Lines of swatches with class names, `width` pixels wide."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.42
    places: list[tuple[int, int, int]] = []
    left, line = 8, 0
    for index in present:
        wide = 24 + cv2.getTextSize(space.names[index], font, size, 1)[0][0]
        if left + wide > width and left > 8:
            left, line = 8, line + 1
        places.append((index, left, line))
        left += wide + 12
    strip = np.full(((line + 1) * ROW + 6, width, 3), 255, np.uint8)
    for index, x, row in places:
        y = 4 + row * ROW
        cv2.rectangle(strip, (x, y + 3), (x + 13, y + 16), space.colors[index], cv2.FILLED)
        cv2.putText(strip, space.names[index], (x + 19, y + 14), font, size, (29, 33, 41), 1, cv2.LINE_AA)
    return strip


def _present(folder: RenderFolder, numbers: Sequence[int]) -> list[int]:
    found: set[int] = set()
    for number in numbers:
        found |= set(np.unique(folder.picture("labels", number)).tolist())
    return sorted(found - {VOID})


def _meters(folder: RenderFolder, number: int) -> NDArray[np.float32]:
    """The depth of a picture, NaN where there is none."""
    stored = folder.picture("depth", number)
    meters: NDArray[np.float32] = np.where(stored > 0, stored / np.float32(1000), np.float32(np.nan))
    return meters


def _enlarged(picture: RGB, times: int) -> RGB:
    return picture.repeat(times, axis=0).repeat(times, axis=1)
