"""Scores of a model on scenes it never saw: whole pictures rendered from their nearest frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sray.field import RenderedView, SemanticField
from sray.frames import Frame, SourceViews
from sray.metrics import ConfusionMatrix, psnr, released_code_miou
from sray_train.datasets.scene import Scene


@dataclass(frozen=True)
class Evaluation:
    """Scores over all scenes; fractions in 0..1, dB, seconds."""

    pictures: int
    strict_miou: float
    released_code_miou: float
    commonest_class_miou: float
    total_accuracy: float
    average_accuracy: float
    psnr: float
    """Mean over the pictures."""
    depth_error: float
    """Median absolute error, metres, mean over the pictures; NaN without true depth."""
    seconds_per_render: float
    per_class_iou: dict[str, float]


@dataclass(frozen=True)
class Rendering:
    """One evaluated picture."""

    scene: str
    truth: Frame
    view: RenderedView


def render_targets(
    field: SemanticField,
    scene: Scene,
    targets: int,
    views: int,
    bounds: tuple[float, float] | None = None,
    *,
    depth: bool = False,
) -> Iterator[Rendering]:
    """Render evenly spread frames of a scene, each from its nearest other frames. `depth`: RGB-D sources, not RGB."""
    count = len(scene.frames)
    for number in range(targets):
        target = (2 * number + 1) * count // (2 * targets)
        sources = [scene.frames[index] for index in scene.nearest(target, views)]
        source_views = SourceViews.from_frames(sources)
        field.set_sources(source_views if depth else replace(source_views, depth=None), bounds=bounds)
        truth = scene.frames[target]
        yield Rendering(scene.name, truth, field.render(truth.camera))


def evaluate(
    field: SemanticField,
    scenes: list[Scene],
    names: tuple[str, ...],
    targets: int,
    views: int,
    *,
    depth: bool = False,
) -> Iterator[Evaluation]:
    """Score pictures of every scene; yields the scores so far after each scene.

    `names`: of the classes. `depth`: the sources' depth guides the samples (RGB-D), which scores say of themselves.
    """
    matrix = ConfusionMatrix(len(names))
    released, decibels, depth_errors, seconds = [], [], [], []
    for scene in scenes:
        pairs = []
        began = time.perf_counter()
        for rendering in render_targets(field, scene, targets, views, depth=depth):
            seconds.append(time.perf_counter() - began)
            truth, view = rendering.truth, rendering.view
            decibels.append(psnr(view.color, truth.image.float() / 255))
            if truth.labels is not None:
                matrix.update(view.labels, truth.labels)
                pairs.append((view.labels, truth.labels))
            if truth.depth is not None:
                depth_errors.append(float((view.depth - truth.depth).abs().nanmedian()))
            began = time.perf_counter()
        released.append(released_code_miou(pairs, len(names)))
        scores = matrix.strict()
        yield Evaluation(
            pictures=len(decibels),
            strict_miou=scores.miou,
            released_code_miou=_mean(released),
            commonest_class_miou=matrix.commonest_class().miou,
            total_accuracy=scores.total_accuracy,
            average_accuracy=scores.average_accuracy,
            psnr=_mean(decibels),
            depth_error=_mean(depth_errors),
            seconds_per_render=_mean(seconds),
            per_class_iou=dict(zip(names, scores.per_class_iou, strict=True)),
        )


def _mean(values: list[float]) -> float:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")
