"""`sray train`: the whole recipe of an experiment file, resumable."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from sray.label_space import ROOMS
from sray.model import SemanticRay
from sray_train.allocator import keep_freed_memory
from sray_train.config import load_config
from sray_train.datasets.catalog import load_scenes
from sray_train.trainer import Trainer


@dataclass
class Train:
    """Train a model on procedural rooms. Run again with the same --run-folder, it goes on where it stopped."""

    experiment: Path = Path("config/experiments/rooms.yaml")
    """What to train: a YAML of the fields of sray_train.config.TrainConfig."""
    run_folder: Path = Path("results/train")
    """State, log, curves and the best checkpoint of each stage."""
    max_hours: float = math.inf
    """Stop (and save) after this long."""

    def main(self) -> None:
        config = load_config(self.experiment)
        keep_freed_memory()
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads or os.cpu_count() or 1)
        trainer = Trainer(
            config,
            SemanticRay(config.model.network(ROOMS.classes)),
            ROOMS,
            load_scenes(config.data, config.data.train),
            load_scenes(config.data, config.data.validation),
            self.run_folder,
            self.max_hours * 3600,
        )
        if trainer.resume():
            print(f"going on after {trainer.progress.seconds / 60:.0f} minutes of training", flush=True)
        finished = trainer.run()
        print(f"{'finished' if finished else 'stopped, run again to go on'}; see {self.run_folder}", flush=True)
