"""The course of a training run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw_curves(records: list[dict[str, Any]], picture: Path) -> None:
    """Losses (above) and validation scores (below) of every stage in the records of a run's log.jsonl."""
    stages = list(dict.fromkeys(record["stage"] for record in records))
    figure, grid = plt.subplots(2, len(stages), figsize=(5 * len(stages), 6), squeeze=False, layout="constrained")
    for column, stage in enumerate(stages):
        rows = [record for record in records if record["stage"] == stage]
        _plot(grid[0, column], [row for row in rows if "validation" not in row], f"{stage}: losses")
        scores = [{"step": row["step"], **row["validation"]} for row in rows if "validation" in row]
        _plot(grid[1, column], scores, f"{stage}: validation", hide=("psnr",))
    figure.savefig(picture, dpi=90)
    plt.close(figure)


def _plot(axes: plt.Axes, rows: list[dict[str, float]], title: str, hide: tuple[str, ...] = ()) -> None:
    names = [name for name in (rows[0] if rows else {}) if name not in ("step", "stage", "loss", *hide)]
    for name in names:
        axes.plot([row["step"] for row in rows], [row[name] for row in rows], label=name)
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    if names:
        axes.legend()
