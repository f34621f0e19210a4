"""Tables with many figures as pictures: bars with a dot for every seed, and curves. Small files, one size."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import ScalarFormatter
from PIL import Image

from sray_train.paper.tables.cells import PERCENT
from sray_train.paper.tables.declaration import Picture
from sray_train.paper.tables.grid import Grid, Measured

OF = "strict_miou"
SCORE = "strict mIoU, %"
AXES = {"views": "source views", "steps": "steps"}
COLORS = (
    "tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:gray", "tab:pink", "tab:olive",
    "tab:cyan", "black",
)  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A mean in percent, and the seeds' own."""

    series: str
    """Of bars: the setting, which is a color; of curves: the name of the curve."""
    at: str | float
    mean: float
    seeds: tuple[float, ...]


def points(grid: Grid) -> list[Point]:
    """What the picture of a table shows: its cells of strict mIoU on the first dataset that has any."""
    picture = grid.table.picture
    if picture is None:
        return []
    for dataset in grid.table.ours:
        cells = [each for each in grid.measured if each.dataset == dataset and each.column.of == OF]
        found = [_point(each, picture) for each in cells if each.cell.mean is not None]
        if found:
            return list(dict.fromkeys(found))
    return []


def _point(measured: Measured, picture: Picture) -> Point:
    cell, label = measured.cell, measured.row.label
    seeds = tuple(round(PERCENT[0] * value, 3) for value in cell.seeds.values())
    mean = sum(seeds) / len(seeds)
    if picture.kind == "bars":
        return Point(label[-1], label[-2], mean, seeds)
    part = measured.column.where.get("part", "")
    return Point(f"{measured.row.name}, {part}" if part else measured.row.name, _over(measured, picture), mean, seeds)


def _over(measured: Measured, picture: Picture) -> float:
    return float(max(getattr(record, picture.over) for record in measured.cell.records))


def digest(found: Sequence[Point]) -> str:
    """Of what is drawn: the picture carries it, so that a stale one is known without being drawn again."""
    text = json.dumps([(point.series, point.at, point.seeds) for point in found])
    return hashlib.sha256(text.encode()).hexdigest()


def is_current(path: Path, found: Sequence[Point]) -> bool:
    """Whether the picture at `path` shows these points."""
    try:
        with Image.open(path) as picture:
            return bool(picture.info.get("Description") == digest(found))
    except OSError:
        return False


def draw(grid: Grid, found: Sequence[Point]) -> bytes:
    """A PNG."""
    picture = grid.table.picture
    assert picture is not None
    bars = picture.kind == "bars"
    size = (7, 1.4 + 0.28 * len(found)) if bars else (6, 4.4)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    (_bars if bars else _curves)(axes, found)
    if bars:
        axes.set_xlabel(SCORE)
    else:
        axes.set_ylabel(SCORE)
        axes.set_xlabel(AXES[picture.over])
    axes.grid(alpha=0.3)
    figure.legend(fontsize="small", loc="outside upper center", ncols=2)  # beside the figures, not over them
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.savefig(file, dpi=80, metadata={"Description": digest(found), "Software": None})
    plt.close(figure)
    return file.getvalue()


def _bars(axes: plt.Axes, found: Sequence[Point]) -> None:
    colors = dict(zip(dict.fromkeys(point.series for point in found), COLORS, strict=False))
    for number, point in enumerate(found):
        first = point.series not in [earlier.series for earlier in found[:number]]
        axes.barh(number, point.mean, color=colors[point.series], alpha=0.6, label=point.series if first else None)
        axes.plot(point.seeds, [number] * len(point.seeds), "o", color="black", markersize=3)
    axes.set_yticks(range(len(found)), [str(point.at) for point in found])
    axes.invert_yaxis()


def _curves(axes: plt.Axes, found: Sequence[Point]) -> None:
    ends = {point.series: float(point.at) for point in sorted(found, key=lambda point: float(point.at))}
    if max(ends.values()) > 5 * min(ends.values()):  # on one even axis the short curves would be a line upwards
        axes.set_xscale("symlog", linthresh=min(ends.values()) / 2)
        axes.xaxis.set_major_formatter(ScalarFormatter())
    for name, color in zip(dict.fromkeys(point.series for point in found), COLORS * 3, strict=False):
        curve = sorted((point for point in found if point.series == name), key=lambda point: float(point.at))
        axes.plot([float(point.at) for point in curve], [point.mean for point in curve], "-", color=color, label=name)
        for point in curve:
            axes.plot([float(point.at)] * len(point.seeds), point.seeds, "o", color=color, markersize=3)
