"""`sray evaluate`: strict and released-code mIoU, accuracies, PSNR of a checkpoint on held-out rooms."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch

from sray.checkpoint import load_checkpoint
from sray.errors import ErrorCode, SrayError
from sray.field import RenderConfig, SemanticField
from sray_train.config import DataConfig
from sray_train.datasets.catalog import load_scenes
from sray_train.datasets.rooms import parse_seeds
from sray_train.evaluate import evaluate


@dataclass
class Evaluate:
    """Score a checkpoint on procedural rooms it was not trained on."""

    checkpoint: Path = Path("models/sray_rooms.safetensors")
    """A .safetensors file written by `sray train`."""
    seeds: str = "9000:9010"
    """Rooms to score on; held-out seeds are 9000 and up."""
    targets: int = 2
    """Pictures rendered a room."""
    views: int = 8
    """Source views a picture."""
    quality: Literal["reference", "high", "balanced", "fast"] = "balanced"
    """Rays and samples spent on a picture: RenderConfig.preset."""
    depth: bool = False
    """RGB-D: the sources' depth guides the samples. Without: RGB."""
    width: int = 160
    height: int = 120
    frames: int = 24
    """Frames a room."""
    threads: int = 0
    """Torch threads; 0 takes all cores."""
    json: Path = Path("results/evaluation.json")
    """Where the record goes. An existing file is kept unless --overwrite."""
    overwrite: bool = False

    def __post_init__(self) -> None:
        parse_seeds(self.seeds)  # raises ValueError
        if not (self.targets >= 1 and 1 <= self.views < self.frames):
            raise ValueError(
                f"{self.targets} targets, {self.views} views, {self.frames} frames; expected at least 1 target, and "
                "more frames than views"
            )

    def main(self) -> None:
        if self.json.exists() and not self.overwrite:
            raise SrayError(ErrorCode.BAD_FILE, f"{self.json} exists; pass --overwrite or another --json")
        torch.set_num_threads(self.threads or os.cpu_count() or 1)
        checkpoint = load_checkpoint(self.checkpoint)
        field = SemanticField(checkpoint.model, RenderConfig.preset(self.quality))
        rooms = load_scenes(DataConfig(width=self.width, height=self.height, frames=self.frames), self.seeds)
        names = checkpoint.label_space.names
        for done, result in enumerate(
            evaluate(field, rooms, names, self.targets, self.views, depth=self.depth), start=1
        ):
            print(
                f"scene {done}/{len(rooms)}  mIoU strict {result.strict_miou:.3f}  PSNR {result.psnr:.1f} dB so far  "
                f"{result.seconds_per_render:.1f} s a picture",
                flush=True,
            )
        record = asdict(result) | {
            "seeds": self.seeds,
            "quality": self.quality,
            "input": "RGB-D" if self.depth else "RGB",
            "views": self.views,
            "size": [self.width, self.height],
            "checkpoint": checkpoint.sha256,
        }
        self.json.parent.mkdir(parents=True, exist_ok=True)
        self.json.write_text(json.dumps(record, indent=2) + "\n")
        for name, iou in result.per_class_iou.items():
            print(f"  {name:12} {iou:.3f}")
        print(
            f"{record['input']}: strict mIoU {result.strict_miou:.3f} (commonest {result.commonest_class_miou:.3f}), "
            f"released-code mIoU {result.released_code_miou:.3f}, PSNR {result.psnr:.1f} dB; see {self.json}"
        )
