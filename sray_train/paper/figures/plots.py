"""Shared by the drawn figures: style of axes, marks on pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH = 12.4
"""Inches: drawn at the page's width, text has the size it says."""
INK, SOFT, ACCENT, WARM = "#1d2129", "#5d6673", "#1f5fa8", "#d97706"
ABSENT = "#e4e7ec"
"""Where a sample is outside of the view's picture."""
MARK = "#ff2d95"
"""The query pixel and its surface: a color that rooms do not have."""
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def show_picture(axes: Any, picture: NDArray[np.uint8], title: str = "") -> None:
    """A picture without ticks; axes in its pixels."""
    axes.imshow(picture, interpolation="lanczos")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, loc="left")
    for spine in axes.spines.values():
        spine.set_visible(False)


def mark(axes: Any, pixel: Any, size: float = 11) -> None:
    """A ring around a pixel (column, row)."""
    column, row = (float(value) for value in pixel)
    for color, width in (("white", 3.2), (MARK, 1.6)):
        axes.plot(column, row, "o", ms=size, mfc="none", mec=color, mew=width, clip_on=False)
