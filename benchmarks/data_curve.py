"""What data brings: strict mIoU of 2D labels over training steps, of rooms only, pictures only, and both.

    for data in rooms pictures both; do .venv/bin/sray train --config config/experiments/data_$data.yaml; done
    python benchmarks/data_curve.py results/data_rooms results/data_pictures results/data_both --plot data.png

Set data.pictures in config/experiments/indoor.yaml first. About half an hour of one thread a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import tyro

from sray_train.learn.training.logbook import read_records

SCORES = {"strict_miou": "real pictures", "scenes_miou": "generated rooms"}


@dataclass
class Curve:
    """Table and plot of run folders' validation scores."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders of `sray train`, which scored pictures and rooms."""
    plot: Path | None = None

    def main(self) -> None:
        for run in self.runs:
            best = best_of(run)
            scores = ", ".join(f"{title} {best[name]:.3f}" for name, title in SCORES.items())
            print(f"{run.name}: best at step {best['step']:.0f}: {scores}")
        if self.plot is not None:
            draw(self.runs, self.plot)


def validations(run: Path) -> dict[int, dict[str, float]]:
    """Scores of the encoder stage by step. Raises ValueError if the run has none of both kinds."""
    found = {
        record["step"]: scores
        for record in read_records(run / "log.jsonl")
        if record["stage"] == "encoder" and SCORES.keys() <= (scores := record.get("validation", {})).keys()
    }
    if not found:
        raise ValueError(
            f"{run}/log.jsonl has no scores of pictures and rooms; expected a run with data.pictures and encoder steps"
        )
    return found


def best_of(run: Path) -> dict[str, float]:
    """The scores of the step that is best on real pictures, and the step. Raises ValueError as `validations`."""
    step, scores = max(validations(run).items(), key=lambda each: each[1]["strict_miou"])
    return {**scores, "step": step}


def draw(runs: tuple[Path, ...], path: Path) -> None:
    figure, axes = plt.subplots(1, len(SCORES), figsize=(9, 3.2), layout="constrained", sharey=True)
    for panel, (name, title) in zip(axes, SCORES.items(), strict=True):
        for run in runs:
            steps = validations(run)
            panel.plot(list(steps), [scores[name] for scores in steps.values()], ".-", label=run.name)
        panel.set(title=title, xlabel="steps")
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("strict mIoU, 2D")
    axes[-1].legend()
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    tyro.cli(Curve).main()
