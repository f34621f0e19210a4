"""The course of fine-tuning as a picture: scores of the test frames over steps (as Table 17 has them) and seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:gray")


def draw_tuning_curve(curves: dict[str, list[dict[str, Any]]], picture: Path) -> None:
    """Scene -> rows of `TunedScene.curve`. Strict mIoU (lines) and pixels right (dashed) above, PSNR below."""
    figure, grid = plt.subplots(2, 2, figsize=(10, 6.5), sharex="col", sharey="row", layout="constrained")
    for number, (scene, rows) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        for column, axis in enumerate(("step", "seconds")):
            along = [row[axis] for row in rows]
            grid[0, column].plot(along, [row["strict_miou"] for row in rows], color=color, marker=".", label=scene)
            grid[0, column].plot(along, [row["total_accuracy"] for row in rows], color=color, linestyle=":")
            grid[1, column].plot(along, [row["psnr"] for row in rows], color=color, marker=".")
    for column, name in enumerate(("step", "seconds of fine-tuning")):
        grid[1, column].set_xlabel(name)
        for axes in grid[:, column]:
            axes.grid(alpha=0.3)
    grid[0, 0].set_ylabel("strict mIoU (dotted: pixels right)")
    grid[0, 0].set_ylim(0, 1)
    grid[1, 0].set_ylabel("PSNR (dB)")
    grid[0, 1].legend(loc="lower right", fontsize="small")
    figure.suptitle("Test frames, which fine-tuning never saw; step 0 is before")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=90)
    plt.close(figure)
