"""The picture of a soak: memory with the line through its second half, what is held, and how fast it renders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

INK, SOFT, FIT = "#2b6cb0", "#718096", "#c05621"


def plot(runs: list[list[dict[str, Any]]], result: dict[str, Any], path: Path) -> None:
    figure, (memory, held, speed) = plt.subplots(3, 1, figsize=(9, 7), layout="constrained", sharex=True)
    begun = 0.0
    for run in runs:
        minutes = np.array([begun + sample["seconds"] / 60 for sample in run])
        _memory(memory, minutes, run, result, is_first=run is runs[0])
        for name, color in (("keyframes", INK), ("threads", FIT), ("open_files", SOFT)):
            label = name.replace("_", " ") if run is runs[0] else None
            held.plot(minutes, [sample[name] for sample in run], color=color, label=label)
        renders = np.diff([sample["renders"] for sample in run], prepend=0)
        speed.plot(minutes, renders / np.diff([sample["seconds"] for sample in run], prepend=0), color=INK)
        begun = minutes[-1]
    memory.set_ylabel("memory, MB")
    held.set_ylabel("held")
    speed.set_ylabel("renders a second")
    speed.set_xlabel(f"minutes; {result['loops']} loops, {result['renders']} renders")
    memory.legend(frameon=False, loc="lower right", fontsize=9)
    held.legend(frameon=False, loc="center right", fontsize=9)
    for axes in (memory, held, speed):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _memory(axes: Axes, minutes: Any, run: list[dict[str, Any]], result: dict[str, Any], is_first: bool) -> None:
    pss, anonymous = (np.array([sample[key] for sample in run]) for key in ("pss_mb", "anonymous_mb"))
    axes.plot(minutes, pss, color=INK, label="proportional set (PSS)" if is_first else None)
    axes.plot(minutes, anonymous, color=SOFT, label="of it in no file" if is_first else None)
    if result["trend"] is not None:
        seconds = np.array([sample["seconds"] for sample in run])
        late = seconds >= max(result["warm_up"], seconds[-1] / 2)
        slope = result["trend"]["slope"]
        fitted = anonymous[late].mean() + slope / 60 * (minutes[late] - minutes[late].mean())
        label = f"{slope:+.2f} MB an hour ({result['trend']['low']:+.2f} to {result['trend']['high']:+.2f})"
        axes.plot(minutes[late], fitted, color=FIT, linewidth=2, label=label if is_first else None)
