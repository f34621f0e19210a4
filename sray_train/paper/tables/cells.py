"""One cell of ours: a mean over seeds, and over scenes where each has its record, with the spread over seeds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sray_train.paper.study.record import METRICS, Record

UNITS = {
    "psnr": (1.0, 2),
    "ssim": (1.0, 3),
    "lpips": (1.0, 3),
    "steps": (1.0, 0),
    "seconds": (1.0, 0),
    "cost.gflop": (1.0, 2),
    "cost.peak_mb": (1.0, 0),
    "cost.fused_peak_mb": (1.0, 0),
}
"""Factor and decimals a figure is shown with; every other is a fraction, shown in percent."""
PERCENT = (100.0, 1)
ALIKE = ("variant", "setting", "part", "input", "views", "size", "quality", "teacher")
"""What the records of one cell must agree in: a mean over two of these would be a figure of nothing."""
NOT_APPLICABLE = "–"
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Cell:
    """What is known about one figure."""

    of: str
    records: tuple[Record, ...]
    """All that it is made from."""
    seeds: dict[int, float]
    """Seed -> mean over its scenes; without those that have no such figure."""
    mixed: str = ""
    """In what the records differ, if they may not be averaged."""

    @property
    def mean(self) -> float | None:
        """In the unit of the records; None if there is none."""
        return statistics.fmean(self.seeds.values()) if self.seeds else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None for fewer than two."""
        return statistics.stdev(self.seeds.values()) if len(self.seeds) > 1 else None

    @property
    def text(self) -> str:
        """In the unit that is shown."""
        if self.mixed:
            return f"mixed: {self.mixed}"
        if not self.records:
            return NOT_MEASURED
        if self.mean is None:
            return NOT_APPLICABLE
        factor, decimals = UNITS.get(self.of, PERCENT)
        text = f"{factor * self.mean:.{decimals}f}"
        if self.of == "steps":
            return text
        unit = " s" if self.of == "seconds" else ""
        if self.spread is None:
            return text + unit
        return f"{text} ± {factor * self.spread:.{decimals}f}{unit} ({len(self.seeds)})"


def make_cell(of: str, records: Sequence[Record]) -> Cell:
    """`of`: see `declaration.Column.of`."""
    if mixed := _mixed(records):
        return Cell(of, tuple(records), {}, mixed)
    measured: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if (value := value_of(record, of)) is not None:
            measured[record.seed][record.data].append(value)  # twice the same in two files: their mean
    means = {
        seed: statistics.fmean(statistics.fmean(repeats) for repeats in scenes.values())
        for seed, scenes in sorted(measured.items())
    }
    return Cell(of, tuple(records), means)


def value_of(record: Record, of: str) -> float | None:
    """A metric, `steps`, `seconds` or `cost.<name>` of a record. Raises ValueError for anything else."""
    if of in METRICS:
        return record.metrics.get(of)
    if of in ("steps", "seconds"):
        return float(getattr(record, of))
    if of.startswith("cost."):
        return record.cost.get(of.removeprefix("cost."))
    raise ValueError(f"a column of {of!r}; expected steps, seconds, cost.<name> or one of {', '.join(METRICS)}")


def _mixed(records: Sequence[Record]) -> str:
    names = [*ALIKE, "data"] if any(record.setting == "generalization" for record in records) else ALIKE
    for name in names:
        if len(values := sorted({_words(getattr(record, name)) for record in records})) > 1:
            return f"{name} {', '.join(values)}"
    return ""


def _words(value: object) -> str:
    return "x".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
