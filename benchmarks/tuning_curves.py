"""What the comparisons of fine-tuning share: scores of test frames along the way, of rooms and of their mean."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sray.checkpoint import Checkpoint
from sray.field import SemanticField
from sray.finetune_config import FineTuneConfig
from sray_train.datasets.scene import Scene
from sray_train.datasets.view_split import ViewSplit
from sray_train.evaluation.evaluate import Query, evaluate
from sray_train.tuning.scene_tuning import TuningPlan, make_tuner

Row = dict[str, Any]
CLOCK = "CPU time of fine-tuning, one thread: others on the machine do not count, nor does scoring test frames"
SCORES = ("strict_miou", "released_miou", "total_accuracy", "average_accuracy", "psnr")
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")
LABELS = {"strict_miou": "strict mIoU", "psnr": "PSNR (dB)", "seconds": "seconds of fine-tuning", "step": "step"}


def tuning_curve(
    checkpoint: Checkpoint, scene: Scene, split: ViewSplit, config: FineTuneConfig, score_every: int, hold_out: int = 0
) -> list[Row]:
    """Tune a copy of the model on a scene's sources and tuning frames, and score test frames along the way. RGB.

    `hold_out`: so many tuning frames judge instead of teaching, each time, and the weights scored are the best by them.
    """
    config = replace(config, validate_every=score_every)
    queries = [Query(scene, test, tuple(scene.nearest(test, len(split.sources), split.sources))) for test in split.test]
    tuner = make_tuner(checkpoint.model, scene, split, TuningPlan(config, hold_out=hold_out))
    rows, seconds = [], 0.0
    while not tuner.finished:
        began = time.process_time()
        step = tuner.advance().number
        seconds += time.process_time() - began
        if step % score_every == 0 or tuner.finished:
            model = tuner.result().model if hold_out else tuner.model
            scores = evaluate(SemanticField(model), queries, checkpoint.label_space).record()
            row = {"step": step, "seconds": round(seconds, 2)}
            rows.append(row | {name: round(scores[name], 4) for name in SCORES})
    return rows


def mean_curve(rooms: Sequence[Sequence[Row]]) -> list[Row]:
    """Mean over rooms, step by step, of seconds and of scores, at the steps that all of them have."""
    shared = set.intersection(*({row["step"] for row in room} for room in rooms))
    at = [{row["step"]: row for row in room} for room in rooms]
    return [
        {"step": step}
        | {name: round(statistics.fmean(room[step][name] for room in at), 4) for name in ("seconds", *SCORES)}
        for step in sorted(shared)
    ]


def draw(
    ways: Mapping[str, Mapping[str, Sequence[Row]]],
    along: str,
    path: Path,
    title: str,
    level: tuple[str, float] | None = None,
) -> None:
    """Way -> room -> curve. Strict mIoU and PSNR along `step` or `seconds`: rooms faint, their mean strong.

    `level`: name and strict mIoU of what does not change along the way.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for (name, rooms), colour in zip(ways.items(), COLOURS, strict=False):
        mean = mean_curve(list(rooms.values()))
        for panel, score in zip(axes, ("strict_miou", "psnr"), strict=True):
            for room in rooms.values():
                panel.plot([row[along] for row in room], [row[score] for row in room], color=colour, alpha=0.25, lw=1)
            panel.plot([row[along] for row in mean], [row[score] for row in mean], ".-", color=colour, lw=2, label=name)
    for panel, score in zip(axes, ("strict_miou", "psnr"), strict=True):
        panel.set(xlabel=LABELS[along], ylabel=LABELS[score])
        panel.grid(alpha=0.3)
    if level is not None:
        axes[0].axhline(level[1], color="black", linestyle=":", label=level[0])
    axes[0].set_ylim(0, 1)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)
