"""Figures 1, 4, 5, 8 and 9 as sections of the page: contenders side by side on held-out pictures, with their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sray_train.paper.figures.comparison import Gallery, Rendered, color_pictures, depth_picture, label_pictures
from sray_train.paper.figures.contenders import (
    NERF,
    NEURAY,
    NEURAY_TUNED,
    S_RAY,
    S_RAY_TUNED,
    SEMANTIC_NERF,
    Contender,
    Gap,
)
from sray_train.paper.figures.page import Cell, PictureFolder, Row, Section
from sray_train.score.evaluate import Query
from sray_train.tools.report.page import Shown, legend, percent
from sray_train.tools.report.pictures import Picture

Shows = Literal["labels", "color", "color error"]


@dataclass(frozen=True)
class Comparison:
    """One of the paper's figures."""

    id: str
    title: str
    look_for: str
    contenders: tuple[Contender, ...]
    shows: Shows


COMPARISONS = (
    Comparison(
        "labels",
        "Figures 1 and 4: labels, unseen scene and fine-tuned",
        "Look at NeuRay's and S-Ray's labels without fine-tuning: whole objects in one color, edges where they end. "
        "Then whether fine-tuning (16 other frames of the scene) mends what was wrong. Below each, its errors.",
        (NEURAY, S_RAY, NEURAY_TUNED, S_RAY_TUNED),
        "labels",
    ),
    Comparison(
        "scene",
        "Figure 5: color and depth, unseen scene and fine-tuned",
        "The same renderings in color, and the depth below: look for edges as sharp as the recorded ones, and depth "
        "that is smooth on walls and floor and steps where furniture ends.",
        (NEURAY, S_RAY, NEURAY_TUNED, S_RAY_TUNED),
        "color",
    ),
    Comparison(
        "semantic_nerf",
        "Figure 8: labels against Semantic-NeRF",
        "Semantic-NeRF learned this one scene by heart, from the frames that S-Ray was fine-tuned on, and is no use in "
        "another; S-Ray without fine-tuning never saw it. Look for small objects and straight edges.",
        (SEMANTIC_NERF, S_RAY, S_RAY_TUNED),
        "labels",
    ),
    Comparison(
        "color",
        "Figure 9: color against NeRF and NeuRay",
        "Below each rendering, how far its color is from the recorded one: light where it is right, dark where it is "
        "off by 0.3 of the range and more. Look for blur in what NeRF learned by heart, and for doubled edges "
        "in the others.",
        (NERF, NEURAY, S_RAY, NEURAY_TUNED, S_RAY_TUNED),
        "color error",
    ),
)


def comparison_sections(
    gallery: Gallery, queries: Sequence[Query], folder: PictureFolder
) -> tuple[list[Section], dict[str, Any]]:
    """Four sections, and the scores by picture and contender for a record."""
    sections, scores = [], {}
    for comparison in COMPARISONS:
        rows = tuple(_row(comparison, gallery, query, folder) for query in queries)
        labels = comparison.shows == "labels"
        sections.append(Section(comparison.id, comparison.title, comparison.look_for, rows, labels=labels))
    for query in queries:
        made = {each: gallery.render(query, each) for one in COMPARISONS for each in one.contenders}
        scores[_title(query)] = {
            contender.title: {"strict_miou": found.scores.strict_miou, "psnr": found.scores.psnr}
            for contender, found in made.items()
            if isinstance(found, Rendered)
        }
    return sections, scores


def shown_classes(gallery: Gallery, queries: Sequence[Query]) -> list[tuple[str, str]]:
    """Name and color of the classes that ground truth or any contender shows."""
    present: set[int] = set()
    for query in queries:
        truth = query.scene.frames[query.target].labels
        present |= set() if truth is None else set(np.unique(truth.numpy()).tolist())
        for comparison in COMPARISONS:
            for contender in comparison.contenders:
                found = gallery.render(query, contender)
                if isinstance(found, Rendered) and comparison.shows == "labels":
                    present |= set(np.unique(found.view.labels.numpy()).tolist())
    return legend(gallery.label_space, present)


def _row(comparison: Comparison, gallery: Gallery, query: Query, folder: PictureFolder) -> Row:
    truth = query.scene.frames[query.target]
    title = _title(query)
    place = f"{comparison.id}_{query.scene.name}_{query.target}"

    def shown(name: str, made: list[Picture], *, crisp: bool) -> tuple[Shown, ...]:
        return tuple(
            folder.add(f"{place}_{name}_{number}", picture, f"{title}: {name}", crisp=crisp)
            for number, picture in enumerate(made)
        )

    recorded = [truth.image.numpy()]
    if comparison.shows == "labels" and truth.labels is not None:
        recorded.append(gallery.label_space.colorize(truth.labels.numpy()))
    if comparison.shows == "color" and truth.depth is not None:
        recorded.append(depth_picture(truth.depth, truth))
    below = {"labels": " and true labels", "color": " and true depth", "color error": ""}[comparison.shows]
    cells: list[Cell | Gap] = [
        Cell(f"recorded picture{below if len(recorded) > 1 else ''}", shown("recorded", recorded, crisp=False))
    ]
    for contender in comparison.contenders:
        found = gallery.render(query, contender)
        if isinstance(found, Gap):
            cells.append(found)
            continue
        if comparison.shows == "labels":
            made = label_pictures(gallery.label_space, truth, found.view)
        else:
            made = color_pictures(truth, found.view)
        if comparison.shows == "color":
            made[1] = depth_picture(found.view.depth, truth)
        name = f"{contender.variant}_{contender.setting}"
        says = _says(found, comparison.shows)
        cells.append(Cell(contender.title, shown(name, made, crisp=comparison.shows == "labels"), says))
    return Row(f"{title} ({truth.name})", "", tuple(cells), len(cells))


def _says(found: Rendered, shows: Shows) -> str:
    if shows == "labels":
        return f"strict mIoU {percent(found.scores.strict_miou)}"
    return "PSNR –" if math.isnan(found.scores.psnr) else f"PSNR {found.scores.psnr:.1f} dB"


def _title(query: Query) -> str:
    return f"{query.scene.name}, frame {query.target}"
