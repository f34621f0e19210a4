"""What a viewer paints of a rendered view: labels, color, depth, confidence or coverage, as RGB."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from sray.field import RenderedView
from sray.label_space import VOID, LabelSpace

Output = Literal["overlay", "labels", "color", "depth", "confidence", "coverage"]
OUTPUTS: tuple[Output, ...] = ("overlay", "labels", "color", "depth", "confidence", "coverage")
PALETTES: dict[Output, int] = {
    "depth": cv2.COLORMAP_VIRIDIS,
    "confidence": cv2.COLORMAP_MAGMA,
    "coverage": cv2.COLORMAP_CIVIDIS,
}
UNKNOWN = (255, 255, 255)
"""RGB of a pixel without depth, confidence or coverage."""
RGB = UInt8[np.ndarray, "height width 3"]


def paint(
    view: RenderedView, output: Output, space: LabelSpace, hidden: Collection[int] = ()
) -> tuple[RGB, tuple[float, float] | None]:
    """The picture, and for depth, confidence and coverage the values at the two ends of its colors.

    Pixels of `hidden` classes have no label. Depth: near is bright.
    """
    labels = view.labels.numpy()
    if hidden:
        labels = np.where(np.isin(labels, list(hidden)), np.uint8(VOID), labels)
    if output == "labels":
        return space.colorize(labels), None
    if output in ("color", "overlay"):
        color = (view.color.numpy() * 255).round().astype(np.uint8)
        return (color if output == "color" else space.overlay(color, labels)), None
    if output == "depth":
        depth = view.depth.numpy()
        ends = depth_range(depth)
        return painted(depth, output, ends), ends
    if output == "confidence":
        return painted(view.confidence.numpy(), output, (0.0, 1.0), view.labels.numpy() != VOID), (0.0, 1.0)
    coverage = view.coverage.numpy().astype(np.float32)
    ends = (0.0, max(1.0, float(coverage.max(initial=0))))
    return painted(coverage, output, ends, coverage > 0), ends


def depth_range(depth: np.ndarray) -> tuple[float, float]:
    """Near and far, meters, between which all but a few of these depths lie; 0 to 1 where nothing is known."""
    known = depth[np.isfinite(depth)]
    if not known.size:
        return 0.0, 1.0
    near, far = np.percentile(known, (2, 98)).tolist()
    return near, max(far, near + 1e-3)


def painted(values: np.ndarray, output: Output, ends: tuple[float, float], known: np.ndarray | None = None) -> RGB:
    """Values in the colors of an output, which run between two ends. `known`: which are; none given: all finite ones.

    Depth: near is bright; all others: much is.
    """
    known = np.isfinite(values) if known is None else known
    low, high = ends
    share: np.ndarray = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-6), 0, 1)
    levels = ((1 - share if output == "depth" else share) * 255).round().astype(np.uint8)
    colors: np.ndarray = cv2.applyColorMap(levels, PALETTES[output])[..., ::-1].copy()
    colors[~known] = UNKNOWN
    return colors


def scale_html(output: Output, ends: tuple[float, float]) -> str:
    """A bar with the picture's colors and the values at its ends, for a page."""
    colors = painted(np.linspace(0, 1, 9)[None], output, (0.0, 1.0))[0]
    stops = ", ".join(f"rgb({r},{g},{b})" for r, g, b in colors.tolist())
    unit, digits = {"depth": (" m", 2), "confidence": ("", 1)}.get(output, (" views", 0))
    low, high = (f"{end:.{digits}f}{unit}" for end in ends)
    return (
        '<div style="margin:0 1em;font-size:0.8em">'
        f'<div style="height:12px;border-radius:3px;background:linear-gradient(to right, {stops})"></div>'
        f'<div style="display:flex;justify-content:space-between"><span>{low}</span><span>{output}</span>'
        f"<span>{high}</span></div></div>"
    )


def compared(keyframe: RGB, rendering: UInt8[np.ndarray, "rows columns 3"], share: float) -> RGB:
    """The keyframe's picture left of `share` (0 to 1) of the width, what was rendered right of it, a line between."""
    height, width = keyframe.shape[:2]
    if rendering.shape[:2] != (height, width):
        rendering = cv2.resize(rendering, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    column = min(width, max(0, round(share * width)))
    both = np.concatenate([keyframe[:, :column], rendering[:, column:]], axis=1)
    both[:, max(0, column - 1) : column + 1] = 255
    return np.ascontiguousarray(both)
