"""A 2D model over all pictures of a recording, and what its labels are worth where ground truth is known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from sray.label_space import VOID
from sray.metrics import ConfusionMatrix
from sray.segmentation import Segmenter
from sray.sequence import Sequence
from sray_train.learn.pseudolabels.folder import PseudoLabelFolder


@dataclass
class Labeled:
    """How much was labeled, and how well."""

    frames_wanted: int
    names: tuple[str, ...]
    frames: int = 0
    resumed: int = 0
    """Of the frames: those that an earlier run had labeled."""
    seconds: float = 0.0
    pixels: int = 0
    labeled: int = 0
    """Pixels with a label."""
    by_class: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    matrix: ConfusionMatrix = field(default_factory=lambda: ConfusionMatrix(1))

    def __post_init__(self) -> None:
        self.by_class = np.zeros(len(self.names), np.int64)
        self.matrix = ConfusionMatrix(len(self.names))

    def add(self, labels: NDArray[np.uint8], truth: NDArray[np.uint8] | None) -> None:
        """One more picture; `truth`: its ground truth, if any."""
        self.frames += 1
        self.pixels += labels.size
        known = labels[labels != VOID]
        self.labeled += known.size
        self.by_class += np.bincount(known, minlength=len(self.names))
        if truth is not None:
            self.matrix.update(labels, truth)

    @property
    def complete(self) -> bool:
        return self.frames == self.frames_wanted

    @property
    def coverage(self) -> float:
        """Share of pixels with a label."""
        return self.labeled / self.pixels if self.pixels else math.nan

    def record(self) -> dict[str, Any]:
        """For machines. Scores are None where there is no ground truth."""
        strict, answered = self.matrix.strict(), self.matrix.released_code()
        return {
            "frames": self.frames,
            "coverage": self.coverage,
            "share_by_class": dict(zip(self.names, (self.by_class / max(1, self.labeled)).tolist(), strict=True)),
            "strict_miou": strict.miou,
            "total_accuracy": strict.total_accuracy,
            "accuracy_where_labelled": answered.total_accuracy,
            "commonest_class_strict_miou": self.matrix.commonest_class().miou,
            "iou": dict(zip(self.names, strict.per_class_iou, strict=True)),
        }


def label_recording(
    segmenter: Segmenter, recording: Sequence, folder: PseudoLabelFolder, stopped: Callable[[], bool] = lambda: False
) -> Labeled:
    """Label every usable picture; those that are labeled already are only scored. Ends early if `stopped` says so.

    Raises SrayError as reading pictures, `Segmenter.segment` and writing files do; what was labeled stays.
    """
    space = segmenter.label_space
    result = Labeled(len(recording), space.names)
    began = time.monotonic()
    for position, number in enumerate(tqdm(recording.indices, unit="picture", leave=False)):
        if stopped():
            break
        frame = recording[position]
        labels = folder.read(number, space)
        if labels is None:
            found = segmenter.segment(frame.image.numpy())
            folder.write(number, found, space)
            labels = found.labels
        else:
            result.resumed += 1
        result.add(labels, None if frame.labels is None else frame.labels.numpy())
    result.seconds = time.monotonic() - began
    return result


def say_labeled(labeled: Labeled, segmenter: Segmenter) -> None:
    """What came of it, for people."""
    console, record = Console(highlight=False, soft_wrap=True), labeled.record()
    new = labeled.frames - labeled.resumed
    speed = f", {labeled.seconds / new:.2f} s each" if new else ""
    console.print(
        escape(
            f"{labeled.frames} pictures ({new} new{speed}) labeled by {segmenter.pretrained.name}: "
            f"{100 * labeled.coverage:.1f} % of pixels at threshold {segmenter.threshold}"
        )
    )
    scored = math.isfinite(record["strict_miou"])
    if scored:
        console.print(
            f"against ground truth: strict mIoU {record['strict_miou']:.3f} (commonest class "
            f"{record['commonest_class_strict_miou']:.3f}), accuracy where "
            f"labeled {record['accuracy_where_labelled']:.3f}"
        )
    table = Table("class", "share of labels", *(["IoU"] if scored else []), box=None)
    for name, share in record["share_by_class"].items():
        iou = record["iou"][name]
        if share > 0 or math.isfinite(iou):
            cell = f"{iou:.3f}" if math.isfinite(iou) else "-"
            table.add_row(name, f"{100 * share:.1f} %", *([cell] if scored else []))
    console.print(table)
