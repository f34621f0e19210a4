"""Pictures for people: the legend, and label colours over the rendered colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.label_space import VOID, LabelSpace
from sray_ros.conversions import Picture

ROW, WIDTH = 24, 220


def legend(label_space: LabelSpace) -> Picture:
    """One row per class: its colour and its name; the last row is what is not known."""
    rows = [*zip(label_space.names, label_space.colours, strict=True), ("not known", (0, 0, 0))]
    picture = np.full((ROW * len(rows), WIDTH, 3), 255, np.uint8)
    for index, (name, colour) in enumerate(rows):
        top = index * ROW
        picture[top + 3 : top + ROW - 3, 6:42] = colour
        text = (52, top + ROW - 8)
        cv2.putText(picture, name, text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return picture


def overlay(color: Picture, labels: Picture, label_space: LabelSpace) -> Picture:
    """Label colours blended over the picture, half and half; where nothing is known the picture alone."""
    blended: Picture = color.copy()
    known = labels != VOID
    mixed: NDArray[np.uint16] = color[known].astype(np.uint16) + label_space.colourize(labels[known])
    blended[known] = (mixed // 2).astype(np.uint8)
    return blended
