"""Checks of labels: ids of another label space, implausible shares of classes, views that disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sray.label_space import VOID, LabelSpace
from sray_train.tools.data_check.camera_checks import Geometry
from sray_train.tools.data_check.findings import Finding
from sray_train.tools.data_check.floor import labeled_points
from sray_train.tools.data_check.label_ids import check_label_space, histogram, stored_ids
from sray_train.tools.data_check.transfer import carry

MOSTLY = 0.6
"""So much void is more than the classes a label space leaves out."""


@dataclass(frozen=True)
class LabelFigures:
    """What the labels of the sampled frames hold."""

    classes: dict[str, float]
    """Class -> share of all pixels."""
    void: float
    """Share of all pixels without a class."""
    ids: dict[int, float]
    """Stored id -> share of all pixels; empty where the reader hides them."""


def check_labels(geometry: Geometry, space: LabelSpace, depth_fits: bool) -> tuple[list[Finding], LabelFigures | None]:
    """What is wrong with the labels, and what they hold. Geometry judges them where depth fits the poses."""
    sample = geometry.sample
    labeled = {i: frame.labels.numpy() for i, frame in sample.frames.items() if frame.labels is not None}
    if not labeled:
        return [], None
    mapped = histogram(list(labeled.values()))
    stored = {i: ids for i in labeled if (ids := stored_ids(sample, i)) is not None}
    shares = histogram(list(stored.values()))
    figures = LabelFigures(
        {name: float(mapped[index]) for index, name in enumerate(space.names)},
        float(mapped[VOID]),
        {int(i): float(shares[i]) for i in np.flatnonzero(shares)},
    )
    findings = []
    if stored:
        points = labeled_points(geometry, stored) if depth_fits else None
        findings = list(check_label_space(geometry, space, shares, points))
    if not findings:
        findings = list(_implausible(figures, space))
    return [*findings, *(_disagreeing(geometry, labeled) if depth_fits else ())], figures


def _implausible(figures: LabelFigures, space: LabelSpace) -> Iterator[Finding]:
    structure = [name for name in ("wall", "floor", "ceiling") if name in space.names]
    share = sum(figures.classes[name] for name in structure)
    commonest = max(figures.classes, key=lambda name: figures.classes[name])
    most = figures.classes[commonest]
    if figures.void > MOSTLY:
        unmapped = sorted(figures.ids, key=lambda i: -figures.ids[i])[:5]
        ids = ", ".join(f"{i} ({100 * figures.ids[i]:.0f} %)" for i in unmapped)
        yield Finding(
            "labels-mostly-void",
            "problem",
            "Most pixels have no class.",
            f"{100 * figures.void:.0f} % of the pixels are void in {space.name}"
            f"{f'; commonest ids: {ids}' if ids else ''}",
            "The ids belong to another label space, or the frames were hardly labeled.",
            "Try another --label-ids or --label-space; look at the label pictures of the report.",
            {"void": figures.void},
        )
    elif len(structure) >= 2 and share < 0.03:
        yield Finding(
            "labels-no-structure",
            "problem",
            "There is hardly any wall or floor: no room looks so.",
            f"{' and '.join(structure)} are {100 * share:.1f} % of the pixels, usually above 30 %; the commonest "
            f"class is {commonest} ({100 * most:.0f} %)",
            "The ids belong to another label space.",
            "Try another --label-ids; look at the label pictures of the report.",
            {"share": share, "commonest": commonest},
        )
    elif most > 0.95:
        yield Finding(
            "labels-one-class",
            "problem",
            "Almost every pixel has the same class.",
            f"{commonest} is {100 * most:.1f} % of the pixels",
            "The label pictures are placeholders, masks, or hold another label space.",
            "Look at the label pictures of the report.",
            {"share": most, "commonest": commonest},
        )


def _disagreeing(geometry: Geometry, labeled: dict[int, NDArray[np.uint8]]) -> Iterator[Finding]:
    agreement = label_agreement(geometry, labeled)
    if agreement is None or agreement > MOSTLY:
        return
    yield Finding(
        "labels-disagree",
        "problem",
        "Views disagree about what they see.",
        f"two views label the same surface alike for {100 * agreement:.0f} % of the pixels, usually above 90 %",
        "Label pictures belong to other frames (numbering), or hold instance ids numbered frame by frame.",
        "Compare the numbering of label-filt/ and color/, and export class ids.",
        {"agreement": agreement},
    )


def label_agreement(geometry: Geometry, labeled: dict[int, NDArray[np.uint8]]) -> float | None:
    """Share of pixels that both views label and see, by depth, that have one class in both; None without such."""
    same = total = 0
    for pair in geometry.pairs:
        first, second = geometry.frame(pair.first), geometry.frame(pair.second)
        if first is None or second is None or first.depth is None or not {pair.first, pair.second} <= labeled.keys():
            continue
        carried = carry(first, second, stride=max(1, first.camera.width // 160))
        a = labeled[pair.first][carried.first[:, 1], carried.first[:, 0]][carried.seen]
        b = labeled[pair.second][carried.second[:, 1], carried.second[:, 0]][carried.seen]
        both = (a != VOID) & (b != VOID)
        same += int((a == b)[both].sum())
        total += int(both.sum())
    return same / total if total > 1000 else None
