"""The curves of the ResUNet of rooms: strict mIoU over training steps (as Table 16) and over views (as Table 11).

    python benchmarks/card_curves.py --run results/rooms --json benchmarks/results/card_curves.json --plot curves.png

Steps: the checkpoints that the run kept, on validation and held-out rooms (variant `shipped_course`). Views: its final
checkpoint on held-out rooms (variant `shipped`: it was, until November 2026). RGB alone, quality
`balanced`, whole pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import tyro
from measuring import one_thread
from tuning_curves import device, typed

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.field import SemanticField
from sray.render_config import RenderConfig
from sray_train.data.catalog import load_scenes
from sray_train.learn.config import TrainConfig, load_config
from sray_train.paper.study.commit import present_commit
from sray_train.paper.study.record import Part, Record, add_records, metrics_of, read_records
from sray_train.score.evaluate import evaluate, spread_queries

VIEWS = (1, 2, 4, 8, 12, 16)


@dataclass
class Measure:
    """Evaluate kept checkpoints and numbers of source views."""

    checkpoint: Path = Path("test/trained/resunet_rooms.safetensors")
    """The final one: scored over numbers of views."""
    run: Path | None = None
    """A run folder of `sray train` whose kept/ checkpoints are scored over steps; None leaves that out."""
    stage: str = "frozen"
    """The stage of the run."""
    step_targets: int = 1
    """Pictures a room for the curve over steps; the curve over views has the config's."""
    config: Path = Path("config/experiments/rooms.yaml")
    json: Path | None = None
    """The file of records. What it has is not measured again."""
    plot: Path | None = None


def main(measure: Measure) -> None:
    one_thread()
    records = read_records(measure.json) if measure.json is not None and measure.json.is_file() else []
    done = {_what(record) for record in records}
    for record in measured(measure, done):
        records = [each for each in records if each.key != record.key] + [record]
        if measure.json is not None:
            add_records(measure.json, [record])
        print(
            f"{record.variant} {record.steps} steps, {record.part}, {record.views} views: {record.metrics}", flush=True
        )
    if measure.plot is not None:
        draw(records, measure.plot)


def measured(measure: Measure, done: set[tuple[Any, ...]]) -> Iterator[Record]:
    """Each record that is not done, when it is measured."""
    config = load_config(measure.config)
    parts: tuple[Part, ...] = ("validation", "test")
    shipped = load_checkpoint(measure.checkpoint)
    work = [(shipped, "shipped", str(measure.checkpoint), "test", config.evaluation.targets, views) for views in VIEWS]
    for path in kept(measure.run, measure.stage) if measure.run is not None else []:
        name, course = f"kept/{path.name}", load_checkpoint(path)
        work += [
            (course, "shipped_course", name, part, measure.step_targets, config.evaluation.views) for part in parts
        ]
    for checkpoint, variant, name, part, targets, views in work:
        if (variant, part, views, checkpoint.sha256[:12]) not in done:
            yield scored(checkpoint, config, part, targets, views, variant=variant, config=name)


def _what(record: Record) -> tuple[Any, ...]:
    return record.variant, record.part, record.views, record.options.get("checkpoint")


def kept(run: Path, stage: str) -> list[Path]:
    """The checkpoints a run kept of a stage, in the order of steps."""
    found = [(re.search(r"_step(\d+)_", path.name), path) for path in (run / "kept").glob(f"{stage}_*.safetensors")]
    return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]


def scored(
    checkpoint: Checkpoint, experiment: TrainConfig, part: Part, targets: int, views: int, **facts: str
) -> Record:
    """The record of a checkpoint on the test or the validation rooms."""
    data = experiment.data
    seeds = data.test if part == "test" else data.validation
    queries = [query for scene in load_scenes(data, seeds) for query in spread_queries(scene, targets, views)]
    field = SemanticField(checkpoint.model, RenderConfig.preset("balanced"))
    result = evaluate(field, queries, checkpoint.label_space).record()
    return Record(
        **facts,
        system="semantic_ray",
        setting="generalization",
        data=f"rooms {seeds}",
        part=part,
        metrics=metrics_of(result),
        per_scene={each["scene"]: metrics_of(each) for each in result["per_scene"]},
        seed=checkpoint.lineage["config"]["seed"],
        seconds=round(checkpoint.lineage["seconds"], 1),
        steps=ray_steps(checkpoint.lineage),
        views=views,
        pictures=len(queries),
        size=(data.width, data.height),
        commit=present_commit(),
        options={"checkpoint": checkpoint.sha256[:12]},
        clock="wall",
        device=device(),
        command=typed(),
    )


def ray_steps(lineage: dict[str, Any]) -> int:
    """Training steps on rays up to a checkpoint of stage 1 (frozen) or 2 (joint)."""
    before: int = lineage["config"]["frozen"]["steps"] if lineage["stage"] == 2 else 0
    return before + int(lineage["step"])


def draw(records: Sequence[Record], path: Path) -> None:
    """Both curves side by side; only the one over views where no run was scored."""
    course = sorted((each for each in records if each.variant == "shipped_course"), key=lambda each: each.steps)
    views = sorted((each for each in records if each.variant == "shipped"), key=lambda each: each.views)
    figure, axes = plt.subplots(1, 2 if course else 1, figsize=(9, 3.2), layout="constrained", squeeze=False)
    axes[0, -1].plot([each.views for each in views], [each.metrics["strict_miou"] for each in views], "o-")
    axes[0, -1].set(xlabel="source views", ylabel="strict mIoU", title="held-out rooms")
    if course:
        for part, label in (("validation", "validation rooms"), ("test", "held-out rooms")):
            line = [each for each in course if each.part == part]
            axes[0, 0].plot(
                [each.steps for each in line], [each.metrics["strict_miou"] for each in line], "o-", label=label
            )
        axes[0, 0].set(xlabel="ray steps", ylabel="strict mIoU", title="over training")
        axes[0, 0].legend()
    for each in axes.flat:
        each.grid(alpha=0.3)
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    main(tyro.cli(Measure))
