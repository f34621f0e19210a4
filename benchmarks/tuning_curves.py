"""Shared by the comparisons of fine-tuning: scores of test frames over the steps, as records, and their plot."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from measuring import command

from sray.checkpoint import Checkpoint
from sray.field import SemanticField
from sray.finetune_config import FineTuneConfig
from sray_train.data.scene import Scene
from sray_train.data.view_split import ViewSplit
from sray_train.learn.finetune.scene_tuning import TuningPlan, make_tuner
from sray_train.machine import device_name
from sray_train.paper.study.commit import present_commit
from sray_train.paper.study.record import Record, metrics_of, read_records
from sray_train.score.evaluate import evaluate, split_queries

Row = dict[str, Any]
SCORES = ("strict_miou", "released_miou", "total_accuracy", "average_accuracy", "psnr")
COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")
LABELS = {"strict_miou": "strict mIoU", "psnr": "PSNR (dB)", "seconds": "seconds of fine-tuning", "steps": "step"}


def tuning_curve(
    checkpoint: Checkpoint, scene: Scene, split: ViewSplit, config: FineTuneConfig, score_every: int, hold_out: int = 0
) -> list[Row]:
    """Tune a copy of the model on a scene's sources and tuning frames, and score test frames along the way. RGB.

    Rows: `steps`, `seconds` (processor time of tuning: others on the machine do not count, nor does scoring) and
    `metrics`. `hold_out`: so many tuning frames judge instead of teaching, each time, and the weights scored are the
    best by them.
    """
    config = replace(config, validate_every=score_every)
    queries = split_queries(scene, split)
    tuner = make_tuner(checkpoint.model, scene, split, TuningPlan(config, hold_out=hold_out))
    rows, seconds = [], 0.0
    while not tuner.finished:
        began = time.process_time()
        step = tuner.advance().number
        seconds += time.process_time() - began
        if step % score_every == 0 or tuner.finished:
            model = tuner.result().model if hold_out else tuner.model
            scores = evaluate(SemanticField(model), queries, checkpoint.label_space).record()
            rows.append({"steps": step, "seconds": round(seconds, 2), "metrics": metrics_of(scores)})
    return rows


def room(scene: Scene) -> str:
    """What a record calls it."""
    return f"rooms {scene.name}"


def curve_records(rows: Iterable[Row], scene: Scene, split: ViewSplit, **facts: Any) -> list[Record]:
    """The rows of a curve as records. `facts`: the fields that only the caller knows."""
    return [
        Record(
            **row,
            **facts,
            data=room(scene),
            views=len(split.sources),
            pictures=len(split.test),
            size=(scene.cameras.width, scene.cameras.height),
            commit=present_commit(),
            clock="processor",
            device=device(),
            command=typed(),
        )
        for row in rows
    ]


def device() -> str:
    """What it is measured on: one thread of this processor."""
    return f"{device_name(torch.device('cpu'))}, 1 thread"


def typed() -> str:
    """The command, fit for other machines."""
    return command().replace(str(Path.home()), "~")


def curves_of(path: Path | None, **fields: Any) -> list[Record]:
    """The records of a file, if there is one, that have these fields."""
    if path is None or not path.is_file():
        return []
    return [
        record for record in read_records(path) if all(getattr(record, name) == its for name, its in fields.items())
    ]


def say(curve: Sequence[Record]) -> None:
    """One line of what came of it."""
    first, last = curve[0], curve[-1]
    print(
        f"{last.data}  {last.variant}, {last.teacher}: {last.steps} steps in {last.seconds:.1f} s  strict mIoU "
        f"{first.metrics['strict_miou']:.3f} -> {last.metrics['strict_miou']:.3f}  PSNR {first.metrics['psnr']:.1f} -> "
        f"{last.metrics['psnr']:.1f} dB",
        flush=True,
    )


def mean_curve(records: Iterable[Record]) -> list[Row]:
    """Mean over rooms, step by step, of seconds and of scores, at the steps that all of them have."""
    rooms = list(by_room(records).values())
    shared = set.intersection(*({record.steps for record in curve} for curve in rooms))
    at = [{record.steps: record for record in curve} for curve in rooms]
    return [
        {"steps": step, "seconds": statistics.fmean(curve[step].seconds for curve in at)}
        | {name: statistics.fmean(curve[step].metrics[name] for curve in at) for name in SCORES}
        for step in sorted(shared)
    ]


def by_room(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Each room's curve, by steps."""
    rooms: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.steps):
        rooms.setdefault(record.data, []).append(record)
    return rooms


def draw(
    ways: Mapping[str, Sequence[Record]], along: str, path: Path, title: str, level: tuple[str, float] | None = None
) -> None:
    """Way -> records. Strict mIoU and PSNR along `steps` or `seconds`: rooms faint, their mean strong.

    `level`: name and strict mIoU of what does not change along the way.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for (name, records), color in zip(ways.items(), COLORS, strict=False):
        mean = mean_curve(records)
        for panel, score in zip(axes, ("strict_miou", "psnr"), strict=True):
            for curve in by_room(records).values():
                there = [getattr(record, along) for record in curve]
                panel.plot(there, [record.metrics[score] for record in curve], color=color, alpha=0.25, lw=1)
            panel.plot([row[along] for row in mean], [row[score] for row in mean], ".-", color=color, lw=2, label=name)
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
