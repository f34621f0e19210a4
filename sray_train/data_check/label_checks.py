"""Labels on trial: ids of another label space, classes that cannot be, views that disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sray.label_space import VOID, LabelSpace
from sray_train.data_check.camera_checks import Geometry
from sray_train.data_check.dense import carry
from sray_train.data_check.findings import Finding
from sray_train.data_check.floor import floor_likeness
from sray_train.data_check.label_ids import LARGEST_NYU40, UNLABELLED, histogram, id_readings, stored_ids
from sray_train.data_check.sample import Sample

MOSTLY = 0.6
"""So much void is more than the classes a label space leaves out."""
FLAT = 0.7
CROOKED = 0.4
"""Share of its points in one plane: a floor has more than FLAT; what has less than CROOKED is none."""


@dataclass(frozen=True)
class LabelFigures:
    """What the labels of the sampled frames hold."""

    classes: dict[str, float]
    """Class -> share of all pixels."""
    void: float
    """Share of all pixels without a class."""
    ids: dict[int, float]
    """Stored id -> share of all pixels; empty where the reader hides them."""


def check_labels(geometry: Geometry, space: LabelSpace, trusted: bool) -> tuple[list[Finding], LabelFigures | None]:
    """`trusted`: depth and poses fit each other, so that geometry may judge what is a floor."""
    sample = geometry.sample
    labelled = {i: frame.labels.numpy() for i, frame in sample.frames.items() if frame.labels is not None}
    if not labelled:
        return [], None
    mapped = histogram(list(labelled.values()))
    stored = {i: ids for i in labelled if (ids := stored_ids(sample, i)) is not None}
    shares = histogram(list(stored.values()))
    figures = LabelFigures(
        {name: float(mapped[index]) for index, name in enumerate(space.names)},
        float(mapped[VOID]),
        {int(i): float(shares[i]) for i in np.flatnonzero(shares)},
    )
    findings = _foreign(geometry, space, stored, shares, trusted) if stored else []
    if not findings:
        findings = _implausible(figures, space)
    return findings + (_disagreeing(geometry, labelled) if trusted else []), figures


def _foreign(
    geometry: Geometry, space: LabelSpace, stored: dict[int, NDArray[Any]], shares: NDArray[np.float64], trusted: bool
) -> list[Finding]:
    """Ids that belong to another label space than they are read with."""
    readings = id_readings(geometry.sample.recording, space)
    reading, table = readings[0], getattr(geometry.sample.recording, "nyu40_of", None)
    known = shares.copy()
    known[[*UNLABELLED, 65535]] = 0
    labelled = max(float(known.sum()), 1e-9)
    alien = known.copy()
    if table is None:
        alien[: LARGEST_NYU40 + 1] = 0
    else:
        alien[table != 0] = 0
    beyond = float(alien.sum()) / labelled
    named = ", ".join(f"{i} ({100 * known[i] / labelled:.1f} %)" for i in np.argsort(-alien)[:6] if alien[i])
    likeness = _floors(geometry, readings, stored) if trusted else {}
    better = max(readings[1:], key=lambda each: likeness.get(each.name, 0.0))
    own = likeness.get(reading.name)
    flat = ""
    if likeness:
        flat = "; share of the floor's points in one plane below the cameras: " + ", ".join(
            f"{100 * share:.0f} % read as {name}" for name, share in likeness.items()
        )
    crooked = own is not None and own < CROOKED
    contradicted = (crooked or own is None) and likeness.get(better.name, 0.0) > FLAT
    figures = {"beyond": beyond, "largest_id": int(np.flatnonzero(known).max(initial=0))} | {
        f"floor as {name}": share for name, share in likeness.items()
    }
    if beyond > 0.01 or contradicted:
        if contradicted:
            cause, remedy = f"The files hold {better.name}.", better.remedy
        elif table is None:
            cause, remedy = _guess_beyond(known), readings[1].remedy
        else:
            cause, remedy = "The table is of another release, or the files hold other ids.", "pass --label-ids nyu40"
        what = f"The label files do not hold {reading.name}, as which they are read."
        ids = f"{100 * beyond:.1f} % of the labelled pixels have ids that are no {reading.name}"
        return [
            Finding(
                "labels-other-space",
                "problem",
                what,
                f"{ids}{f': {named}' if named else ''}{flat}",
                cause,
                f"To mend it: {remedy}.",
                dict(figures),
            )
        ]
    if crooked:
        return [
            Finding(
                "labels-crooked-floor",
                "warning",
                "What is labelled floor is not flat.",
                flat.removeprefix("; "),
                "The ids belong to a label space not known here, or there are stairs.",
                "Look at the label pictures of the report.",
                dict(figures),
            )
        ]
    return []


def _guess_beyond(known: NDArray[np.float64]) -> str:
    largest = int(np.flatnonzero(known).max(initial=0))
    if largest <= 101 and known[93] + known[40] + known[31] > 0.2 * known.sum():
        return "The files hold Replica's ids (wall 93, floor 40, ceiling 31)."
    if largest > 1500:
        return "The files hold instance ids, or ids of another dataset."
    return "The files hold raw ScanNet ids, as label-filt/ of the release does."


def _floors(geometry: Geometry, readings: list[Any], stored: dict[int, NDArray[Any]]) -> dict[str, float]:
    candidates = sorted({i for reading in readings for i in reading.floor[:4]})
    likeness = floor_likeness(geometry, stored, candidates)
    found = {}
    for reading in readings:
        shares = [likeness[i] for i in reading.floor if i in likeness]
        if shares:
            found[reading.name] = max(shares)
    return found


def _implausible(figures: LabelFigures, space: LabelSpace) -> list[Finding]:
    if figures.void > MOSTLY:
        unmapped = sorted(figures.ids, key=lambda i: -figures.ids[i])[:5]
        ids = ", ".join(f"{i} ({100 * figures.ids[i]:.0f} %)" for i in unmapped)
        return [
            Finding(
                "labels-mostly-void",
                "problem",
                "Most pixels have no class.",
                f"{100 * figures.void:.0f} % of the pixels are void in {space.name}"
                f"{f'; commonest ids: {ids}' if ids else ''}",
                "The ids belong to another label space, or the frames were hardly labelled.",
                "Try another --label-ids or --label-space; look at the label pictures of the report.",
                {"void": figures.void},
            )
        ]
    structure = [name for name in ("wall", "floor", "ceiling") if name in space.names]
    share = sum(figures.classes[name] for name in structure)
    if len(structure) >= 2 and share < 0.03:
        common = max(figures.classes, key=lambda name: figures.classes[name])
        return [
            Finding(
                "labels-no-structure",
                "problem",
                "There is hardly any wall or floor: no room looks so.",
                f"{' and '.join(structure)} are {100 * share:.1f} % of the pixels, usually above 30 %; the commonest "
                f"class is {common} ({100 * figures.classes[common]:.0f} %)",
                "The ids belong to another label space.",
                "Try another --label-ids; look at the label pictures of the report.",
                {"share": share, "commonest": common},
            )
        ]
    commonest = max(figures.classes, key=lambda name: figures.classes[name])
    if figures.classes[commonest] > 0.95:
        return [
            Finding(
                "labels-one-class",
                "problem",
                "Almost every pixel has the same class.",
                f"{commonest} is {100 * figures.classes[commonest]:.1f} % of the pixels",
                "The label pictures are placeholders, masks, or hold another label space.",
                "Look at the label pictures of the report.",
                {"share": figures.classes[commonest], "commonest": commonest},
            )
        ]
    return []


def _disagreeing(geometry: Geometry, labelled: dict[int, NDArray[np.uint8]]) -> list[Finding]:
    agreement = label_agreement(geometry.sample, geometry, labelled)
    if agreement is None or agreement > MOSTLY:
        return []
    return [
        Finding(
            "labels-disagree",
            "problem",
            "Views disagree about what they see.",
            f"two views label the same surface alike for {100 * agreement:.0f} % of the pixels, usually above 90 %",
            "Label pictures belong to other frames (numbering), or hold instance ids numbered frame by frame.",
            "Compare the numbering of label-filt/ and color/, and export class ids.",
            {"agreement": agreement},
        )
    ]


def label_agreement(sample: Sample, geometry: Geometry, labelled: dict[int, NDArray[np.uint8]]) -> float | None:
    """Share of pixels that both views label and see, by depth, that have one class in both; None without such."""
    same = total = 0
    for pair in geometry.pairs:
        first, second = sample.frame(pair.first), sample.frame(pair.second)
        if first is None or second is None or first.depth is None or not {pair.first, pair.second} <= labelled.keys():
            continue
        poses = [geometry.poses.convert(sample.poses[position]) for position in (pair.first, pair.second)]
        carried = carry(first, second, poses[0], poses[1], stride=max(1, first.camera.width // 160))
        a = labelled[pair.first][carried.first[:, 1], carried.first[:, 0]][carried.seen]
        b = labelled[pair.second][carried.second[:, 1], carried.second[:, 0]][carried.seen]
        both = (a != VOID) & (b != VOID)
        same += int((a == b)[both].sum())
        total += int(both.sum())
    return same / total if total > 1000 else None
