"""The page of `make demo-finetune`: the curve, and views that fine-tuning never saw, before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sray.label_space import LabelSpace
from sray.metrics import ConfusionMatrix
from sray_train.tools.report import pictures
from sray_train.tools.report.demo_page import ShownView, saved
from sray_train.tools.report.page import Shown, error_key, legend, render_template


@dataclass(frozen=True)
class Unseen:
    """One view, as it was rendered before and after, beside the real picture; all of one size."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    before: NDArray[np.uint8]
    """Labels; VOID (255) where nothing is known."""
    after: NDArray[np.uint8]
    color_before: NDArray[np.uint8]
    color_after: NDArray[np.uint8]


def strict_miou(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], space: LabelSpace) -> float:
    """Of labels and truths together."""
    matrix = ConfusionMatrix(space.classes)
    for labels, truth in pairs:
        matrix.update(labels, truth)
    return matrix.strict().miou


def write_finetune_page(
    folder: Path,
    title: str,
    source: str,
    views: list[Unseen],
    space: LabelSpace,
    tiles: list[tuple[str, str, str]],
    curves: list[Shown],
    facts: dict[str, str],
    keyframes: int,
    held_out: int,
) -> Path:
    """Write `index.html`, and the pictures beside it; returns the page. `tiles`: value, name, what it is of."""
    present = {int(label) for view in views for label in np.unique(np.stack([view.truth, view.before, view.after]))}
    page = render_template(
        "finetune_page.html.jinja",
        title=title,
        source=source,
        tiles=tiles,
        curves=curves,
        views=[_show(number, view, space, folder) for number, view in enumerate(views)],
        legend=legend(space, present),
        error_colors=error_key(),
        facts=facts,
        keyframes=keyframes,
        held_out=held_out,
    )
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _show(number: int, view: Unseen, space: LabelSpace, folder: Path) -> ShownView:
    before, after = (strict_miou([(labels, view.truth)], space) for labels in (view.before, view.after))
    shown = (
        ("image", "picture", view.image, False),
        ("truth", "ground truth", space.colorize(view.truth), True),
        ("before", "labels before", space.colorize(view.before), True),
        ("after", "labels after", space.colorize(view.after), True),
        ("color_before", "color before", view.color_before, False),
        ("color_after", "color after", view.color_after, False),
        ("errors_before", "errors before", pictures.error(view.before, view.truth), True),
        ("errors_after", "errors after", pictures.error(view.after, view.truth), True),
    )
    title = f"View {number + 1}"
    files = tuple(
        saved(folder, f"{number}_{name}", picture, caption, f"{title}: {caption}", crisp=crisp)
        for name, caption, picture, crisp in shown
    )
    return ShownView(title, f"strict mIoU {before:.3f} → {after:.3f}", files)
