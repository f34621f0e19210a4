"""`sray bench`: the quality levels beside the paper's form, speed and accuracy, on held-out rooms."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sray.checkpoint import load_checkpoint
from sray.encoder import LEAST_SIDE
from sray.errors import ModelError
from sray.label_space import LABEL_SPACES
from sray_train.cli.options import CheckpointOptions, RecordOptions, RunOptions
from sray_train.data.catalog import load_scenes
from sray_train.data.config import DataConfig
from sray_train.data.rooms import parse_seeds
from sray_train.machine import chosen_device, use_threads
from sray_train.records import refuse_existing, write_record
from sray_train.tools.bench.run import IMAGE, BenchPlan, run_bench, table


@dataclass
class Bench(RecordOptions, RunOptions, CheckpointOptions):
    """Compare the quality levels with the paper's form: seconds, memory, strict mIoU, PSNR, in one process."""

    seeds: str = "9000:9010"
    """Rooms to render; held-out seeds are 9000 and up."""
    targets: int = 2
    """Pictures rendered a room, 320x240."""
    pixels: int = 1024
    """Scored pixels a picture, the same for every renderer."""
    views: int = 8
    """Source views a picture."""
    source_width: int = 320
    """Source views are resized to this before encoding: the size that a mapper keeps pictures at."""
    source_height: int = 240
    frames: int = 24
    """Frames a room."""
    memory: bool = True
    """Measure peak memory, each in a process of its own."""
    scaling: bool = True
    """Measure cost against resolution, views, samples, keyframes."""
    json: Path = Path("results/bench.json")
    plots: Path | None = None
    """Folder for figures; none are drawn without it."""

    def __post_init__(self) -> None:
        parse_seeds(self.seeds)  # raises ValueError
        if not (self.targets >= 1 and self.pixels >= 1 and 1 <= self.views < self.frames):
            raise ValueError(
                f"{self.targets} targets, {self.pixels} pixels, {self.views} views, {self.frames} frames; expected at "
                "least 1 of each, and more frames than views"
            )
        if min(self.source_width, self.source_height) < LEAST_SIDE:
            raise ValueError(
                f"source views of {self.source_width}x{self.source_height}; expected sides of at least {LEAST_SIDE}"
            )
        super().__post_init__()

    def main(self) -> None:
        refuse_existing(self.json, "--json", overwrite=self.overwrite)
        began = time.monotonic()
        use_threads(self.threads)
        device = chosen_device(self.device)
        checkpoint = load_checkpoint(self.checkpoint)
        space = checkpoint.label_space
        if space.name not in LABEL_SPACES or space != LABEL_SPACES[space.name]:
            raise ModelError(f"{self.checkpoint} knows label space {space.name}", f"one of {', '.join(LABEL_SPACES)}")

        def say(text: str) -> None:
            print(f"[{time.monotonic() - began:4.0f} s] {text}", flush=True)

        width, height = IMAGE
        rooms = load_scenes(
            DataConfig(label_space=space.name, width=width, height=height, frames=self.frames), self.seeds
        )
        plan = BenchPlan(
            self.targets,
            self.views,
            self.pixels,
            (self.source_width, self.source_height),
            memory=self.memory,
            scaling=self.scaling,
        )
        record = run_bench(checkpoint, self.checkpoint, rooms, plan, device, say)
        record |= {"seeds": self.seeds, "total_seconds": time.monotonic() - began}
        write_record(self.json, record)
        print(f"\n{table(record)}")
        if self.plots is not None:
            from sray_train.tools.bench.plots import plot  # matplotlib takes a second to load

            plot(record, self.plots)
        print(f"see {self.json}{f' and {self.plots}' if self.plots else ''}")
