"""FinetuneCurve: fine-tuning as a picture, for who watches it in RViz or Foxglove."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from sray_interfaces.msg import FineTuneStatus
from sray_ros.common.conversions import Picture

WIDTH, HEIGHT = 640, 480
LEFT, RIGHT, TOP, BOTTOM, GAP = 56, 20, 58, 40, 36
"""Pixels around the two plots, and between them."""
LEAST_LOSS = 1e-4
BLACK, GRAY, BLUE = (0, 0, 0), (190, 190, 190), (31, 119, 180)
LOSS_COLORS = {
    "pictures": (148, 103, 189),
    "semantic": (255, 127, 14),
    "color": (44, 160, 44),
    "depth": (140, 86, 75),
}
Point = tuple[float, float]


class FinetuneCurve:
    """Held-out scores above, losses below, over the steps."""

    def __init__(self) -> None:
        self._steps = 1
        self._title = ""
        self._scores: list[Point] = []
        self._losses: dict[str, list[Point]] = {}
        self._is_labeled = True

    def add(self, status: FineTuneStatus) -> None:
        """One more status of the same job."""
        self._steps = max(1, status.steps)
        seconds = "" if math.isnan(status.seconds_left) else f", {status.seconds_left:.0f} s left"
        self._title = status.text or f"step {status.step} of {status.steps}{seconds}"
        self._is_labeled = not math.isnan(status.now.strict_miou)
        score = status.now.strict_miou if self._is_labeled else status.now.psnr
        if not math.isnan(score) and (not self._scores or self._scores[-1][1] != score):
            self._scores.append((status.step, score))
        for name, loss in zip(status.loss_names, status.losses, strict=True):
            points = self._losses.setdefault(name, [])
            if not math.isnan(loss) and (not points or points[-1][0] != status.step):
                points.append((status.step, loss))

    def draw(self) -> Picture:
        """RGB, uint8."""
        picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
        _write(picture, self._title[:88], (LEFT, 22), BLACK, 0.4)
        height = (HEIGHT - TOP - BOTTOM - GAP) // 2
        upper, lower = (LEFT, TOP, WIDTH - RIGHT, TOP + height), (LEFT, HEIGHT - BOTTOM - height, WIDTH - RIGHT)
        name = "held-out strict mIoU" if self._is_labeled else "held-out PSNR (dB)"
        span = (0.0, 1.0) if self._is_labeled else _around([score for _, score in self._scores])
        self._plot(picture, upper, {name: self._scores}, {name: BLUE}, span, dots=True)
        # Color's is a hundredth of the others: each power of ten gets the same room.
        powers = {
            name: [(step, math.log10(max(loss, LEAST_LOSS))) for step, loss in _smoothed(points)]
            for name, points in self._losses.items()
        }
        span = _around([power for points in powers.values() for _, power in points])
        self._plot(picture, (*lower, HEIGHT - BOTTOM), powers, LOSS_COLORS, span, dots=False)
        _write(
            picture,
            f"steps, 0 to {self._steps}; losses (log10) are means of ten steps",
            (LEFT, HEIGHT - 14),
            BLACK,
            0.42,
        )
        return picture

    def _plot(
        self,
        picture: Picture,
        box: tuple[int, int, int, int],
        lines: dict[str, list[Point]],
        colors: dict[str, tuple[int, int, int]],
        span: tuple[float, float],
        *,
        dots: bool,
    ) -> None:
        left, top, right, bottom = box
        low, high = span
        for share in (0.0, 0.5, 1.0):
            row = round(bottom - share * (bottom - top))
            cv2.line(picture, (left, row), (right, row), GRAY, 1)
            _write(picture, f"{low + share * (high - low):.3g}", (8, row + 4), BLACK, 0.4)
        for number, (name, points) in enumerate(lines.items()):
            color = colors.get(name, BLACK)
            at = [
                (
                    round(left + step / self._steps * (right - left)),
                    round(bottom - (value - low) / (high - low) * (bottom - top)),
                )
                for step, value in points[:: 1 + len(points) // WIDTH]  # more than there are columns would not show
            ]
            cv2.polylines(picture, [np.array(at, np.int32).reshape(-1, 1, 2)], False, color, 2, cv2.LINE_AA)
            for point in at if dots else ():
                cv2.circle(picture, point, 4, color, -1, cv2.LINE_AA)
            _write(picture, name, (left + 90 * number, top - 8), color, 0.42)


def _around(values: Sequence[float]) -> tuple[float, float]:
    """All values, with some room."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = 0.1 * (high - low) or max(0.1 * abs(high), 1e-3)
    return low - room, high + room


def _smoothed(points: list[Point], width: int = 10) -> list[Point]:
    """The mean of the last `width` values at each point."""
    return [
        (step, sum(value for _, value in points[max(0, index - width + 1) : index + 1]) / min(width, index + 1))
        for index, (step, _) in enumerate(points)
    ]


def _write(picture: Picture, text: str, at: tuple[int, int], color: tuple[int, int, int], size: float) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, color, 1, cv2.LINE_AA)
