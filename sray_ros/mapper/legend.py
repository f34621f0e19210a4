"""The legend: the label colors with their names, as a picture that RViz and Foxglove can show."""

from __future__ import annotations

import cv2
import numpy as np

from sray.label_space import LabelSpace
from sray_ros.common.conversions import Picture

ROW, WIDTH = 24, 220


def legend(label_space: LabelSpace) -> Picture:
    """One row per class: its color and its name; the last row is what is not known."""
    rows = [*zip(label_space.names, label_space.colors, strict=True), ("not known", (0, 0, 0))]
    picture = np.full((ROW * len(rows), WIDTH, 3), 255, np.uint8)
    for index, (name, color) in enumerate(rows):
        top = index * ROW
        picture[top + 3 : top + ROW - 3, 6:42] = color
        text = (52, top + ROW - 8)
        cv2.putText(picture, name, text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return picture
