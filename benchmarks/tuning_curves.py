"""What the comparisons of fine-tuning share: scores of test frames along the way, of rooms and of their mean."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Row = dict[str, Any]
CLOCK = "wall clock of fine-tuning on one thread of a shared machine; rendering and scoring test frames is not counted"
SCORES = ("strict_miou", "released_miou", "total_accuracy", "average_accuracy", "psnr")
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple")
LABELS = {"strict_miou": "strict mIoU", "psnr": "PSNR (dB)", "seconds": "seconds of fine-tuning", "step": "step"}


def slim(curve: Sequence[Row]) -> list[Row]:
    """What a record keeps of a room's curve (`TunedScene.curve`)."""
    return [
        {"step": row["step"], "seconds": round(row["seconds"], 2)} | {name: round(row[name], 4) for name in SCORES}
        for row in curve
    ]


def mean_curve(rooms: Sequence[Sequence[Row]]) -> list[Row]:
    """Mean over rooms, step by step, of seconds and of scores, at the steps that all of them have."""
    shared = set.intersection(*({row["step"] for row in room} for room in rooms))
    at = [{row["step"]: row for row in room} for room in rooms]
    return [
        {"step": step}
        | {name: round(statistics.fmean(room[step][name] for room in at), 4) for name in ("seconds", *SCORES)}
        for step in sorted(shared)
    ]


def draw(ways: Mapping[str, Mapping[str, Sequence[Row]]], along: str, path: Path, title: str) -> None:
    """Way -> room -> curve. Strict mIoU and PSNR along `step` or `seconds`: rooms faint, their mean strong."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for (name, rooms), colour in zip(ways.items(), COLOURS, strict=False):
        mean = mean_curve(list(rooms.values()))
        for panel, score in zip(axes, ("strict_miou", "psnr"), strict=True):
            for room in rooms.values():
                panel.plot([row[along] for row in room], [row[score] for row in room], color=colour, alpha=0.25, lw=1)
            panel.plot([row[along] for row in mean], [row[score] for row in mean], ".-", color=colour, lw=2, label=name)
    for panel, score in zip(axes, ("strict_miou", "psnr"), strict=True):
        panel.set(xlabel=LABELS[along], ylabel=LABELS[score])
        panel.grid(alpha=0.3)
    axes[0].set_ylim(0, 1)
    axes[0].legend(fontsize="small")
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
