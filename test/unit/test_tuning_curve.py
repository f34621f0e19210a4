"""The curve of fine-tuning as a picture: what is drawn where."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("sray_interfaces", reason="needs the ROS environment")

from sray_interfaces.msg import FineTuneScore, FineTuneStatus
from sray_ros.finetune.curve import BLUE, LOSS_COLORS, FinetuneCurve


def status(step: int, miou: float, loss: float, steps: int = 100, psnr: float = 20.0) -> FineTuneStatus:
    now = FineTuneScore(strict_miou=miou, psnr=psnr)
    return FineTuneStatus(step=step, steps=steps, now=now, loss_names=["semantic"], losses=[loss], seconds_left=1.0)


def where(picture: np.ndarray, color: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero((picture == color).all(-1))


def test_scores_rise_to_the_right_and_losses_fall() -> None:
    curve = FinetuneCurve()
    for step in range(0, 101, 10):
        curve.add(status(step, 0.2 + 0.006 * step, 1.0 / (1 + step)))
    picture = curve.draw()
    assert picture.shape == (480, 640, 3) and picture.dtype == np.uint8
    rows, columns = where(picture[65:220], BLUE)
    assert rows[columns.argmin()] > rows[columns.argmax()] + 50
    assert columns.max() - columns.min() > 500, "from the first step to the last"
    rows, columns = where(picture[270:], LOSS_COLORS["semantic"])
    assert rows[columns.argmin()] < rows[columns.argmax()] - 50


def test_without_labels_it_is_color_that_is_drawn() -> None:
    curve = FinetuneCurve()
    for step, psnr in ((0, 18.0), (50, 19.0), (100, 21.0)):
        curve.add(status(step, math.nan, 0.1, psnr=psnr))
    rows, columns = where(curve.draw()[65:220], BLUE)
    assert rows[columns.argmin()] > rows[columns.argmax()] + 50


def test_before_the_first_step_there_is_a_picture_too() -> None:
    assert (FinetuneCurve().draw() != 255).any()
    curve = FinetuneCurve()
    curve.add(status(0, math.nan, math.nan, psnr=math.nan))
    assert (curve.draw() != 255).any()


def test_a_long_course_is_drawn_from_end_to_end() -> None:
    curve = FinetuneCurve()
    for step in range(5000):
        curve.add(status(step, 0.5, 1.0, steps=5000))
    _, columns = where(curve.draw()[270:], LOSS_COLORS["semantic"])
    assert columns.max() > 600
