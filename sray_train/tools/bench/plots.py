"""Figures of a bench record, as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

RGB, RGBD, OTHER = "#2b6cb0", "#c05621", "#4a5568"


def plot(record: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what the record holds; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    scaling = record.get("scaling") or {}
    drawn = [_trade_off(record, folder / "levels.png")]
    labels = {
        "resolution": "image width (pixels, 4:3)",
        "views": "source views",
        "fine_samples": "fine samples a ray",
        "keyframes": "keyframes to choose from",
    }
    for sweep, label in labels.items():
        if scaling.get(sweep):
            drawn.append(_sweep(record, sweep, label, folder / f"{sweep}.png"))
    return drawn


def _trade_off(record: dict[str, Any], path: Path) -> Path:
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    reference = record["reference"]
    for name, level in record["levels"].items():
        color = RGBD if name.endswith("_depth") else RGB
        seconds, points = level["seconds"], 100 * level["miou_difference"]
        axes.plot([seconds] * 2, [100 * end for end in level["miou_difference_interval"]], color=color, alpha=0.6)
        axes.plot([seconds], [points], "o", color=color, markersize=6)
        axes.annotate(
            name.removesuffix("_depth"), (seconds, points), xytext=(6, 3), textcoords="offset points", color=color
        )
    axes.axhline(0, color=OTHER, linewidth=0.8, linestyle=":")
    axes.margins(x=0.15)
    axes.set_xlim(left=0, right=axes.get_xlim()[1])
    axes.set_xlabel(f"seconds an image; the reference takes {reference['seconds']:.0f}")
    axes.set_ylabel("strict mIoU, points above the reference; bar: 95 %")
    for name, color in (("RGB", RGB), ("RGB-D", RGBD)):
        axes.plot([], [], "o", color=color, label=name)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    _title(figure, f"Quality levels on {record['device']}")
    return _save(figure, path)


def _sweep(record: dict[str, Any], sweep: str, label: str, path: Path) -> Path:
    points = record["scaling"][sweep]
    horizontal = "width" if sweep == "resolution" else "x"
    panels: list[tuple[str, list[tuple[str, str, str]]]] = [
        ("seconds an image", [("seconds", "RGB", RGB), ("seconds_depth", "RGB-D", RGBD)])
    ]
    if any(point.get("peak_mb") is not None for point in points):
        panels.append(
            (
                "peak memory, MB",
                [("peak_mb", "whole", OTHER), ("peak_mb_without_picture", "without the picture handed over", RGB)],
            )
        )
    if any("select_seconds" in point for point in points):
        points = [point | {"select_ms": 1000 * point["select_seconds"]} for point in points]
        panels.append(("of which choosing sources, milliseconds", [("select_ms", "choosing", OTHER)]))
    figure, row = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.6), layout="constrained", squeeze=False)
    for axes, (unit, series) in zip(row[0], panels, strict=True):
        for key, name, color in series:
            known = [(point[horizontal], point[key]) for point in points if point.get(key) is not None]
            if known:
                axes.plot(*zip(*known, strict=True), "o-", color=color, label=name, markersize=4)
        if sweep in ("resolution", "keyframes"):
            axes.set_xscale("log")
            ticks = [point[horizontal] for point in points]
            axes.set_xticks(ticks if sweep == "resolution" else [tick for tick in ticks if str(tick).strip("0") == "1"])
            _plain_ticks(axes)
        else:
            axes.set_xticks([point[horizontal] for point in points])
        if sweep == "resolution" and unit.startswith("seconds"):
            axes.set_yscale("log")  # as the widths are: proportional to the pixels is a straight line
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(label)
        axes.set_title(unit, fontsize=10, loc="left")
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=9)
    _title(figure, f"{record['scaling']['level']} on {record['device']}")
    return _save(figure, path)


def _plain_ticks(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()


def _title(figure: Any, text: str) -> None:
    figure.suptitle(text, fontsize=11, x=0.01, ha="left")
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
