"""What the encoders cost a picture: parameters, and milliseconds at three sizes. What they are worth: `--runs`.

    for lite in "" _lite1 _lite2; do .venv/bin/sray train --config config/experiments/data_both$lite.yaml; done
    python benchmarks/encoder_cost.py --threads 2 --json benchmarks/timings/encoder_cost.json \\
        --runs results/data_both results/data_both_lite1 results/data_both_lite2

The encoders take turns, so that whatever else the machine does is shared by all. Their weights are new: time does not
depend on them. They compute as on a robot: pre-trained ones in half precision on a CPU that is made for it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
import tyro
from data_curve import SCORES, best_of
from measuring import facts, milliseconds, one_thread, write
from torch import nn

from sray.backbone import EncoderName, new_encoder

SIZES = ((160, 120), (320, 240), (640, 480))


@dataclass
class Measure:
    """Time the encoders, one picture at a time."""

    rounds: int = 12
    threads: int = 1
    """More than one: the wall clock on so many as well, at the second size. On a machine with nothing else to do."""
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
    for size in SIZES:
        for name, spent in in_turn(encoders, size, measure.rounds, milliseconds).items():
            record[name]["milliseconds"][f"{size[0]}x{size[1]}"] = spent
    if measure.threads > 1:
        torch.set_num_threads(measure.threads)
        for name, spent in in_turn(encoders, SIZES[1], measure.rounds, wall_clock).items():
            record[name]["milliseconds"][f"{SIZES[1][0]}x{SIZES[1][1]}, {measure.threads} threads, wall clock"] = spent
    best = {run.name: best_of(run) for run in measure.runs}
    record["scores"] = {run: {name: round(scores[name], 3) for name in SCORES} for run, scores in best.items()}
    show(record, names)
    write(measure.json, record)


def in_turn(
    encoders: Mapping[EncoderName, nn.Module], size: tuple[int, int], rounds: int, clock: Callable[..., float]
) -> dict[EncoderName, float]:
    """Median milliseconds of each for a picture of this width and height."""
    width, height = size
    picture = torch.rand(1, 3, height, width)
    times: dict[EncoderName, list[float]] = {name: [] for name in encoders}
    for number in range(rounds + 1):
        for name, encoder in encoders.items():
            spent = clock(lambda encoder=encoder: encoder(picture))
            if number:  # the first round warms up
                times[name].append(spent)
    return {name: round(statistics.median(each), 1) for name, each in times.items()}


def wall_clock(action: Callable[[], object]) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    action()
    return 1e3 * (time.perf_counter() - started)


def show(record: dict[str, Any], names: tuple[str, ...]) -> None:
    sizes = list(record[names[0]]["milliseconds"])
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
