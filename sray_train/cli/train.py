"""`sray train`: the whole recipe of an experiment file, resumable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from sray_train.learn.config import load_config
from sray_train.learn.training.processes import make_fabric, part
from sray_train.learn.training.run import make_trainer


@dataclass
class Train:
    """Train a model. Run again with the same --run-folder, it goes on where it stopped.

    Several processes or machines: `torchrun --nproc-per-node 2 -m sray_train.cli train --devices 2 ...`.
    """

    config: Path = Path("config/experiments/rooms.yaml")
    """What to train: a YAML of the fields of sray_train.learn.config.TrainConfig."""
    run_folder: Path | None = None
    """State, log, curves and checkpoints; default results/<name of the config>."""
    max_hours: float = math.inf
    """Stop (and save) after this long."""
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    """Processes on this machine, one a device."""
    nodes: int = 1
    """Machines; each starts the same command through torchrun."""

    def __post_init__(self) -> None:
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if not self.max_hours > 0:
            raise ValueError(f"max-hours is {self.max_hours}; expected more than 0")
        if self.accelerator == "cuda" and not torch.cuda.is_available():
            raise ValueError("accelerator is cuda, but there is none; expected cpu or auto")
        if self.accelerator != "cpu" and torch.cuda.is_available() and self.devices > torch.cuda.device_count():
            raise ValueError(f"devices is {self.devices}; expected at most {torch.cuda.device_count()}, the GPUs here")

    def main(self) -> None:
        config = load_config(self.config)
        folder = self.run_folder or Path("results") / self.config.stem
        fabric = make_fabric(config.precision, accelerator=self.accelerator, devices=self.devices, nodes=self.nodes)
        finished = make_trainer(config, folder, max_seconds=self.max_hours * 3600, fabric=fabric).run()
        fabric.print(f"{'finished' if finished else 'stopped, run again to go on'}; see {folder}", flush=True)
        part(fabric)
