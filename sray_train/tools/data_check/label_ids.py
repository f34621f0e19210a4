"""Ids in label files, and the label spaces they may belong to."""

from __future__ import annotations

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
