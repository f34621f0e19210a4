"""The picture of ros_latency's rows: how old labels are, and how long services take meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

INK, SOFT, LIMIT = "#2b6cb0", "#4a5568", "#c05621"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 0.55 * len(rows) + 1.6), layout="constrained", sharey=True)
    for place, row in enumerate(rows):
        _latency(left, place, row)
        _service(right, place, row)
    left.set_yticks(range(len(rows)), [_name(row) for row in rows])
    left.invert_yaxis()
    left.set_xlabel("image stamp to label, seconds: median, to 95 %")
    right.set_xlabel("a service's answer, ms: median, to the worst")
    left.set_title("How old a label is", loc="left", fontsize=11)
    right.set_title("Asked meanwhile (gray: asked while idle)", loc="left", fontsize=11)
    left.set_xlim(left=0)
    right.set_xscale("log")
    right.xaxis.set_major_formatter("{x:g}")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _name(row: dict[str, Any]) -> str:
    limit = f"limit {row['limit']:g} s" if row["limit"] else "no limit"
    return f"{row['width']}x{row['height']}, {limit}"


def _latency(axes: Axes, place: int, row: dict[str, Any]) -> None:
    median, worst = row["latency_s"]["median"], row["latency_s"]["p95"]
    axes.plot([median, worst], [place, place], color=INK, linewidth=2)
    axes.plot([median], [place], "o", color=INK)
    text = f"{row['renders_per_second']:.1f} a second, {row['share_of_pixels']:.0%} of the pixels"
    axes.annotate(text, (worst, place), xytext=(6, -3), textcoords="offset points", fontsize=8, color=SOFT)
    if row["limit"]:
        axes.plot([row["limit"]] * 2, [place - 0.35, place + 0.35], color=LIMIT, linewidth=1.5)


def _service(axes: Axes, place: int, row: dict[str, Any]) -> None:
    for offset, key, color in ((-0.12, "service_ms", INK), (0.18, "service_idle_ms", SOFT)):
        median, worst = row[key]["median"], row[key]["worst"]
        axes.plot([median, worst], [place + offset] * 2, color=color, linewidth=2, alpha=0.7)
        axes.plot([median], [place + offset], "o", color=color, markersize=4)
