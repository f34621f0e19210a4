"""What the encoders cost a picture: parameters, and milliseconds at three sizes. What they are worth: `--runs`.

    for lite in "" _lite1 _lite2; do .venv/bin/sray train --config config/experiments/data_both$lite.yaml; done
    python benchmarks/encoder_cost.py --runs results/data_both results/data_both_lite1 results/data_both_lite2 \\
        --json benchmarks/timings/encoder_cost.json

The encoders take turns, so that whatever else the machine does is shared by all. Their weights are new: time does not
depend on them.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
import tyro
from data_curve import SCORES, best_of
from measuring import facts, milliseconds, one_thread, write

from sray.backbone import EncoderName, new_encoder

SIZES = ((160, 120), (320, 240), (640, 480))


@dataclass
class Measure:
    """Time the encoders on one thread, one picture at a time."""

    rounds: int = 12
    runs: tuple[Path, ...] = ()
    """Run folders of `sray train`, one an encoder, that scored pictures and rooms: what the encoders are worth."""
    json: Path | None = None
    """The file of the record."""


@torch.inference_mode()
def main(measure: Measure) -> None:
    one_thread()
    names: tuple[EncoderName, ...] = get_args(EncoderName)
    encoders = {name: new_encoder(name).eval() for name in names}
    record: dict[str, Any] = facts("What does an encoder cost a picture?", measure.rounds)
    for name, encoder in encoders.items():
        parameters = sum(weight.numel() for weight in encoder.parameters())
        record[name] = {"parameters": parameters, "milliseconds": {}}
    for width, height in SIZES:
        picture = torch.rand(1, 3, height, width)
        times: dict[str, list[float]] = {name: [] for name in names}
        for number in range(measure.rounds + 1):
            for name, encoder in encoders.items():
                spent = milliseconds(lambda encoder=encoder, picture=picture: encoder(picture))
                if number:  # the first round warms up
                    times[name].append(spent)
        for name in names:
            record[name]["milliseconds"][f"{width}x{height}"] = round(statistics.median(times[name]), 1)
    best = {run.name: best_of(run) for run in measure.runs}
    record["scores"] = {run: {name: round(scores[name], 3) for name in SCORES} for run, scores in best.items()}
    show(record, names)
    write(measure.json, record)


def show(record: dict[str, Any], names: tuple[str, ...]) -> None:
    sizes = [f"{width}x{height}" for width, height in SIZES]
    print(f"| encoder | parameters | {' | '.join(f'ms at {size}' for size in sizes)} |")
    print("|---" * (2 + len(sizes)) + "|")
    for name in names:
        times = record[name]["milliseconds"]
        columns = " | ".join(f"{times[size]:.0f}" for size in sizes)
        print(f"| {name} | {record[name]['parameters'] / 1e6:.2f} M | {columns} |")
    for run, scores in record["scores"].items():
        print(f"{run}: " + ", ".join(f"{title} {scores[name]:.3f}" for name, title in SCORES.items()))


if __name__ == "__main__":
    main(tyro.cli(Measure))
