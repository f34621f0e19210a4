"""The page of an evaluation: one HTML file with scores, the classes by how reliable they are, and pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sray.files import write_atomically
from sray.metrics import ConfusionMatrix, mean
from sray_train.score.scores import Evaluation, PictureScores, Summary
from sray_train.tools.report.evaluation_pictures import Gallery
from sray_train.tools.report.page import (
    ClassBar,
    Shown,
    ShownView,
    class_bars,
    confusion_rows,
    error_key,
    legend,
    percent,
    render_template,
)

GOOD, FAIR = 0.6, 0.3
"""IoU from which a class is called reliable, and roughly right."""
SHOWN_MISTAKES = 6


@dataclass(frozen=True)
class ClassGroup:
    """Classes that are about equally well told."""

    title: str
    meaning: str
    classes: list[ClassBar]


@dataclass(frozen=True)
class Mistake:
    """Pixels of one class taken for another."""

    true: str
    called: str
    share_of_class: float
    share_of_errors: float


def write_evaluation_page(path: Path, evaluation: Evaluation, gallery: Gallery, record: dict[str, Any]) -> None:
    """Write the page, whole or not at all. `record`: what `sray evaluate` writes as JSON.

    Raises FileError.
    """
    space = evaluation.label_space
    confusion = evaluation.total.confusion
    bars = class_bars(space, confusion)
    scenes = sorted(evaluation.scenes, key=_quality)
    best, worst = _extremes(evaluation, gallery)
    page = render_template(
        "evaluation_page.html.jinja",
        record=record,
        plan=_plan(record),
        evaluation=evaluation,
        tiles=_tiles(evaluation, record),
        groups=class_groups(bars),
        mistakes=mistakes(space.names, confusion),
        classes=bars,
        absent=[bar.name for bar in bars if bar.iou is None],
        confusion=confusion_rows(space, confusion),
        scenes=[(scene, scene.record()) for scene in scenes],
        gallery=[(scene.name, _middle(scene, gallery)) for scene in scenes],
        extremes=[("Best picture", best), ("Worst picture", worst)] if len(evaluation.total.pictures) > 1 else [],
        legend=legend(space, gallery.present),
        error_colors=error_key(),
        percent=percent,
        number=number,
    )
    write_atomically(path, page.encode())


def class_groups(bars: list[ClassBar]) -> list[ClassGroup]:
    """The classes that occur by how far they can be relied on, the best first."""
    known = sorted((bar for bar in bars if bar.iou is not None), key=lambda bar: -(bar.iou or 0))
    bounds = [
        ("Reliable", f"IoU of {percent(GOOD, 0)} and more", GOOD, math.inf),
        ("Roughly right", f"IoU of {percent(FAIR, 0)} to {percent(GOOD, 0)}", FAIR, GOOD),
        ("Not to be relied on", f"IoU below {percent(FAIR, 0)}", -math.inf, FAIR),
    ]
    return [
        ClassGroup(title, meaning, [bar for bar in known if least <= (bar.iou or 0) < most])
        for title, meaning, least, most in bounds
    ]


def mistakes(names: tuple[str, ...], confusion: ConfusionMatrix) -> list[Mistake]:
    """The pairs of classes that cost most pixels, the worst first."""
    counts = confusion.counts
    wrong = counts.copy()
    for index in range(len(names)):
        wrong[index, index] = 0
    found = []
    for flat in (-wrong).reshape(-1).argsort(kind="stable")[:SHOWN_MISTAKES]:
        true, called = divmod(int(flat), wrong.shape[1])
        if wrong[true, called]:
            found.append(
                Mistake(
                    names[true],
                    [*names, "void"][called],
                    float(wrong[true, called] / counts[true].sum()),
                    float(wrong[true, called] / wrong.sum()),
                )
            )
    return found


def number(value: float, digits: int = 1, unit: str = "") -> str:
    """A dash where there is none."""
    return f"{value:.{digits}f}{unit}" if math.isfinite(value) else "–"


def _tiles(evaluation: Evaluation, record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Value, name, and what to hold it against."""
    tiles: list[tuple[str, str, str]] = []
    if evaluation.labeled:
        low, high = record["strict_miou_interval"]
        over = record["strict_miou_interval_over"]
        spread = f"95 % interval over {over}: {100 * low:.0f} to {percent(high, 0)}; " if math.isfinite(low) else ""
        floor = percent(record["commonest_class_miou"])
        tiles.append((percent(record["strict_miou"]), "strict mIoU", f"{spread}commonest class everywhere: {floor}"))
        tiles.append((percent(record["released_miou"]), "released-code mIoU", "per picture, as published tables"))
        by_class = percent(record["average_accuracy"])
        tiles.append((percent(record["total_accuracy"]), "pixels right", f"{by_class} as a mean over classes"))
    lpips = "LPIPS unknown" if record["lpips_missing"] else f"LPIPS {number(record['lpips'], 3)}"
    against = f"SSIM {number(record['ssim'], 3)}, {lpips}"
    tiles.append((number(record["psnr"], 1, " dB"), "color PSNR", against))
    within = (
        f"{percent(record['depth_within_1_25'], 0)} within 1.25, {percent(record['depth_within_1_05'], 0)} within 1.05"
    )
    against = f"{within}; median {number(record['depth_median_error'], 2, ' m')}; void pixels count too"
    tiles.append((percent(record["depth_abs_rel"]), "depth error, relative", against))
    against = "of the rendered pictures fused, against the true surfaces they show; mean over scenes"
    tiles.append((percent(record["map_f_score_5cm"]), "map F-score at 5 cm", against))
    tiles.append((number(record["seconds_per_render"], 1, " s"), "a picture", f"quality {_plan(record)['quality']}"))
    return tiles


def _middle(scene: Summary, gallery: Gallery) -> ShownView:
    """The scene's picture that stands in the middle: none is picked for its looks."""
    index = len(scene.pictures) // 2
    return _shown(scene.pictures[index], gallery.rows[scene.name][index])


def _extremes(evaluation: Evaluation, gallery: Gallery) -> tuple[ShownView, ShownView]:
    """The best and the worst picture of all: by pixels right, without any labels by PSNR."""
    pairs = [
        (picture.pixels_right if evaluation.labeled else picture.psnr, picture, row)
        for scene in evaluation.scenes
        for picture, row in zip(scene.pictures, gallery.rows[scene.name], strict=True)
    ]
    known = [pair for pair in pairs if not math.isnan(pair[0])]
    best, worst = max(known, key=lambda pair: pair[0]), min(known, key=lambda pair: pair[0])
    return _shown(*best[1:]), _shown(*worst[1:])


def _shown(scores: PictureScores, row: tuple[Shown, ...]) -> ShownView:
    right = f"{percent(scores.pixels_right, 0)} of pixels right, strict mIoU {percent(scores.strict_miou, 0)}, "
    return ShownView(
        scores.name,
        (right if scores.confusion.counts.any() else "")
        + f"PSNR {number(scores.psnr)} dB, SSIM {number(scores.ssim, 2)}, {percent(scores.void, 0)} void",
        row,
    )


def _quality(scene: Summary) -> float:
    """What orders scenes: strict mIoU; PSNR of those without labels, which come last."""
    miou = scene.confusion.strict().miou
    return miou if not math.isnan(miou) else 1 + mean(picture.psnr for picture in scene.pictures)


def _plan(record: dict[str, Any]) -> dict[str, Any]:
    plan: dict[str, Any] = record["config"]["evaluation"]
    return plan
