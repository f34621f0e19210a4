"""Ids in label files, and whether they are of the label space that they are read as.

Judged by the ids that occur, and by which of them is the floor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.errors import SrayError
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.sequence import Sequence
from sray_train.data.scene import Recording
from sray_train.data.sens import SensRecording
from sray_train.tools.data_check.camera_checks import Geometry
from sray_train.tools.data_check.findings import Figure, Finding
from sray_train.tools.data_check.floor import LabeledPoints, floor_likeness
from sray_train.tools.data_check.sample import Sample

LARGEST_NYU40 = 40
UNLABELED = (0, 255)
"""Ids that are no class in any export; 65535 too, in 16 bits."""


@dataclass(frozen=True)
class IdReading:
    """One meaning of the ids."""

    name: str
    wall: int
    """An id without which hardly any recording has this meaning."""
    floor: tuple[int, ...]
    remedy: str


def id_readings(recording: Recording, space: LabelSpace) -> list[IdReading]:
    """What ids may mean, the meaning they are read with first."""
    table = getattr(recording, "nyu40_of", None)
    nyu40 = IdReading("NYU40 ids", 1, (2,), "pass --label-ids nyu40")
    scannet = IdReading(
        "raw ScanNet ids", 1, (3,), "pass --label-ids scannet, with scannetv2-labels.combined.tsv at hand"
    )
    if table is not None:
        scannet = replace(scannet, floor=tuple(np.flatnonzero(table == 2).tolist()) or (3,))
    spaces = [space, *(other for other in LABEL_SPACES.values() if other != space)]
    indices = [
        IdReading(
            f"indices of the label space {each.name}",
            each.names.index("wall"),
            (each.names.index("floor"),),
            "write NYU40 ids: sray.label_space converts (`to_nyu40`)",
        )
        for each in spaces
        if {"wall", "floor"} <= set(each.names)
    ]
    others = [
        *indices,
        IdReading("Replica's ids", 93, (40,), "read the scene as a Replica dataset, or map the ids to NYU40's"),
        IdReading("NYU13 ids", 12, (5,), "export NYU40 ids"),
    ]
    first = [scannet, nyu40] if table is not None else [nyu40, scannet]
    known: set[tuple[int, ...]] = set()
    readings = []
    for reading in first + others:  # of those that call the same id the floor, the first speaks for all
        if reading.floor not in known:
            known.add(reading.floor)
            readings.append(reading)
    return readings


def stored_ids(sample: Sample, position: int) -> NDArray[Any] | None:
    """The ids (height, width) of a frame's label file as stored; None where the reader does not let us see them."""
    recording = sample.recording
    if isinstance(recording, SensRecording) and recording.labels is not None:
        try:
            return recording.labels.read(recording.numbers[position])
        except SrayError:  # the frame itself is reported as unreadable
            return None
    if not isinstance(recording, Sequence) or not recording.has_labels:
        return None
    path = recording.file("label-filt", recording.indices[position])
    ids: NDArray[Any] | None = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    return ids if ids is not None and ids.ndim == 2 else None


def histogram(pictures: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Share (65536,) of each id among all pixels."""
    counts = sum((np.bincount(ids.reshape(-1), minlength=65536) for ids in pictures), np.zeros(65536, np.int64))
    return np.asarray(counts / max(1, int(counts.sum())), np.float64)


FLAT = 0.7
CROOKED = 0.4
"""Share of its points in one plane: a floor has more than FLAT; what has less than CROOKED is none."""
BEYOND = 0.01
"""Share of the labeled pixels whose ids may be foreign: strays of painting."""


def check_label_space(
    geometry: Geometry, space: LabelSpace, shares: NDArray[np.float64], points: LabeledPoints | None
) -> Iterator[Finding]:
    """`shares` (65536,): of all pixels by id as stored. `points`: None where geometry cannot be trusted."""
    known = shares.copy()
    known[[*UNLABELED, 65535]] = 0
    known /= max(float(known.sum()), 1e-9)
    # A reading whose usual ids are absent is not possible: a rug is flat and low, but makes no Replica of a room.
    own, *others = id_readings(geometry.sample.recording, space)
    others = [each for each in others if shares[each.wall] > 0]
    alien = _alien(known, getattr(geometry.sample.recording, "nyu40_of", None))
    beyond = float(alien.sum())
    floors = _floors(geometry, [own, *others], points) if points is not None else {}
    better = max(others, key=lambda each: floors.get(each.name, 0.0), default=None)
    if better and not _contradicted(floors, own, better, float(known[list(better.floor)].sum())):
        better = None
    flat = "share of the floor's points in one plane below the cameras: " + ", ".join(
        f"{100 * share:.0f} % read as {name}" for name, share in floors.items()
    )
    figures: dict[str, Figure] = {"beyond": beyond, "largest_id": int(np.flatnonzero(known).max(initial=0))}
    figures |= {f"floor as {name}": share for name, share in floors.items()}
    if beyond > BEYOND or better:
        cause, remedy = _likeliest(better, others, known)
        strangers = ", ".join(f"{i} ({100 * known[i]:.1f} %)" for i in np.argsort(-alien)[:6] if alien[i])
        ids = f"{100 * beyond:.1f} % of the labeled pixels have ids that are no {own.name}"
        evidence = f"{ids}{f': {strangers}' if strangers else ''}{f'; {flat}' if floors else ''}"
        what = f"The label files do not hold {own.name}, as which they are read."
        yield Finding("labels-other-space", "problem", what, evidence, cause, f"To mend it: {remedy}.", figures)
    elif floors.get(own.name, 1.0) < CROOKED:
        yield Finding(
            "labels-crooked-floor",
            "warning",
            "What is labeled floor is not flat.",
            flat,
            "The ids belong to a label space not known here, or there are stairs.",
            "Look at the label pictures of the report.",
            figures,
        )


def _alien(known: NDArray[np.float64], table: NDArray[np.uint8] | None) -> NDArray[np.float64]:
    """The shares (65536,) of the ids that mean nothing as they are read."""
    alien: NDArray[np.float64] = known.copy()
    if table is None:
        alien[: LARGEST_NYU40 + 1] = 0
    else:
        alien[table != 0] = 0
    return alien


def _contradicted(floors: dict[str, float], own: IdReading, other: IdReading, share: float) -> bool:
    """Whether another reading's floor is one, and the own reading's is not. `share`: of the pixels the other has."""
    own_floor, other_floor = floors.get(own.name), floors.get(other.name, 0.0)
    if own_floor is None:  # no floor seen at all: rugs and table tops must not stand in for one
        return other_floor > FLAT and share > 0.05
    return other_floor > FLAT > own_floor and other_floor - own_floor > 0.3


def _likeliest(better: IdReading | None, others: list[IdReading], known: NDArray[np.float64]) -> tuple[str, str]:
    """What the files hold, and what to do. `better`: the reading that geometry prefers."""
    if better is not None:
        return f"The files hold {better.name}.", better.remedy
    largest = int(np.flatnonzero(known).max(initial=0))
    replica = next((each for each in others if each.name.startswith("Replica")), None)
    if replica and largest <= 101 and known[[93, 40, 31]].sum() > 0.2:
        return "The files hold Replica's ids (wall 93, floor 40, ceiling 31).", replica.remedy
    if largest > 1500:
        return "The files hold instance ids, or ids of another dataset.", "export class ids"
    if not others:
        return "The files hold ids of another dataset.", "export NYU40 ids"
    return f"The files hold {others[0].name}, or ids of another dataset.", others[0].remedy


def _floors(geometry: Geometry, readings: list[IdReading], points: LabeledPoints) -> dict[str, float]:
    """Reading -> likeness of what it calls the floor; without those of which too little is seen."""
    likeness = floor_likeness(geometry, points, sorted({i for each in readings for i in each.floor}))
    found = {}
    for each in readings:
        shares = [likeness[i] for i in each.floor if i in likeness]
        if shares:
            found[each.name] = max(shares)
    return found
