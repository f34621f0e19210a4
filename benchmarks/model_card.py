"""The curves of the model card: strict mIoU over training steps (as Table 16) and over source views (as Table 11).

    python benchmarks/model_card.py --run results/rooms --json benchmarks/results/model_card.json --plot curves.png

Steps: the checkpoints that the run kept, on validation and held-out rooms. Views: the shipped checkpoint on held-out
rooms. RGB alone, quality `balanced`, whole pictures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
import tyro
from measuring import facts, write

from sray.checkpoint import load_checkpoint
from sray.field import SemanticField
from sray.label_space import ROOMS
from sray.render_config import RenderConfig
from sray_train.config import load_config
from sray_train.datasets.catalog import load_scenes
from sray_train.datasets.scene import Scene
from sray_train.evaluation.evaluate import evaluate, spread_queries

VIEWS = (1, 2, 4, 8, 12, 16)


@dataclass
class Measure:
    """Evaluate kept checkpoints and numbers of source views."""

    checkpoint: Path = Path("models/sray_rooms.safetensors")
    """The shipped one: scored over numbers of views."""
    run: Path | None = None
    """A run folder of `sray train` whose kept/ checkpoints are scored over steps; None leaves that out."""
    stage: str = "frozen"
    """The stage of the run."""
    step_targets: int = 1
    """Pictures a room for the curve over steps; the curve over views has the config's."""
    config: Path = Path("config/experiments/rooms.yaml")
    json: Path | None = None
    plot: Path | None = None


def main(measure: Measure) -> None:
    config = load_config(measure.config)
    held_out = load_scenes(config.data, config.data.test)
    targets, views = config.evaluation.targets, config.evaluation.views
    record: dict[str, Any] = facts("how does the score grow with training steps, and with source views?", 1)
    record["step_targets"] = measure.step_targets
    record |= {"held_out": config.data.test, "validation": config.data.validation, "targets": targets}
    record["views"] = [{"views": count, **scores(measure.checkpoint, held_out, targets, count)} for count in VIEWS]
    record["steps"] = []
    if measure.run is not None:
        validation = load_scenes(config.data, config.data.validation)
        for step, path in kept(measure.run, measure.stage):
            row = {
                "step": step,
                "validation": scores(path, validation, measure.step_targets, views),
                "held_out": scores(path, held_out, measure.step_targets, views),
            }
            record["steps"].append(row)
            print(row, flush=True)
    write(measure.json, record)
    if measure.plot is not None:
        draw(record, measure.plot)


def kept(run: Path, stage: str) -> list[tuple[int, Path]]:
    """(step, file) of the checkpoints a run kept of a stage, in the order of steps."""
    found = [(re.search(r"_step(\d+)_", path.name), path) for path in (run / "kept").glob(f"{stage}_*.safetensors")]
    return sorted((int(match[1]), path) for match, path in found if match)


def scores(checkpoint: Path, scenes: list[Scene], targets: int, views: int) -> dict[str, float]:
    """Strict mIoU and PSNR of a checkpoint over scenes."""
    field = SemanticField(load_checkpoint(checkpoint).model, RenderConfig.preset("balanced"))
    queries = [query for scene in scenes for query in spread_queries(scene, targets, views)]
    with torch.inference_mode():
        result = evaluate(field, queries, ROOMS).record()
    return {name: round(result[name], 4) for name in ("strict_miou", "total_accuracy", "psnr")}


def draw(record: dict[str, Any], path: Path) -> None:
    """Both curves side by side; only the second where no run was scored."""
    figure, axes = plt.subplots(1, 2 if record["steps"] else 1, figsize=(9, 3.2), layout="constrained", squeeze=False)
    over_views = axes[0, -1]
    over_views.plot([row["views"] for row in record["views"]], [row["strict_miou"] for row in record["views"]], "o-")
    over_views.set(xlabel="source views", ylabel="strict mIoU", title="held-out rooms")
    if record["steps"]:
        steps = [row["step"] for row in record["steps"]]
        for name, label in (("validation", "validation rooms"), ("held_out", "held-out rooms")):
            axes[0, 0].plot(steps, [row[name]["strict_miou"] for row in record["steps"]], "o-", label=label)
        axes[0, 0].set(xlabel="ray steps", ylabel="strict mIoU", title="over training")
        axes[0, 0].legend()
    for each in axes.flat:
        each.grid(alpha=0.3)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main(tyro.cli(Measure))
