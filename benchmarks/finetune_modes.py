"""Strict mIoU and PSNR against seconds of fine-tuning: the whole model, and all but the encoder, in one run.

    python benchmarks/finetune_modes.py --json benchmarks/results/finetune_modes.json --plot docs/images/finetune.png

Mode `full` trains the encoder too; `heads` leaves it as it is and encodes every frame once. Each room is tuned in both,
one after the other, on the labels and colours of 16 frames; 4 others are rendered and scored along the way. RGB alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import tyro
from measuring import facts, one_thread, write
from tuning_curves import CLOCK, Row, draw, mean_curve, tuning_curve

from sray.checkpoint import load_checkpoint
from sray.finetune_config import FineTuneConfig, Mode
from sray_train.config import DataConfig
from sray_train.datasets.catalog import load_scenes
from sray_train.datasets.view_split import split_views


@dataclass
class Measure:
    """Tune the same rooms in both modes."""

    checkpoint: Path = Path("models/sray_rooms.safetensors")
    seeds: str = "9000:9003"
    """Rooms, each tuned on by itself."""
    steps: int = 200
    score_every: int = 20
    width: int = 160
    height: int = 120
    json: Path | None = None
    """Where the record goes."""
    plot: Path | None = None


def main(measure: Measure) -> None:
    one_thread()
    checkpoint = load_checkpoint(measure.checkpoint)
    scenes = load_scenes(DataConfig(width=measure.width, height=measure.height), measure.seeds)
    record: dict[str, Any] = facts("strict mIoU against seconds: is it worth to leave the encoder as it is?", 1)
    record |= {"clock": CLOCK, "checkpoint": checkpoint.sha256, "rooms": measure.seeds, "input": "RGB"}
    ways: dict[str, dict[str, list[Row]]] = {mode: {} for mode in get_args(Mode)}
    for scene in scenes:
        for mode, rooms in ways.items():
            config = FineTuneConfig(mode=mode, steps=measure.steps)
            rooms[scene.name] = tuning_curve(checkpoint, scene, split_views(scene), config, measure.score_every)
            first, last = rooms[scene.name][0], rooms[scene.name][-1]
            print(
                f"{scene.name}  {mode:5}  {last['seconds']:5.1f} s  strict mIoU {first['strict_miou']:.3f} -> "
                f"{last['strict_miou']:.3f}  PSNR {first['psnr']:.1f} -> {last['psnr']:.1f} dB",
                flush=True,
            )
    record["load_after"] = round(os.getloadavg()[0], 2)
    record["modes"] = {mode: {"mean": mean_curve(list(rooms.values())), "rooms": rooms} for mode, rooms in ways.items()}
    write(measure.json, record)
    if measure.plot is not None:
        draw(
            ways, "seconds", measure.plot, "Test frames, which fine-tuning never saw: mean over rooms, faint each room"
        )


if __name__ == "__main__":
    main(tyro.cli(Measure))
