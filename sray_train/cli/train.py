"""`sray train`: the whole recipe of an experiment file, resumable."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from sray.errors import ErrorCode, SrayError
from sray.label_space import ROOMS
from sray.model import SemanticRay
from sray_train.allocator import keep_freed_memory
from sray_train.config import DataConfig, load_config
from sray_train.datasets.rooms import parse_seeds, room_folder
from sray_train.datasets.scene import Scene
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
            load_rooms(config.data.train, config.data),
            load_rooms(config.data.validation, config.data),
            self.run_folder,
            self.max_hours * 3600,
        )
        if trainer.resume():
            print(f"going on after {trainer.progress.seconds / 60:.0f} minutes of training", flush=True)
        finished = trainer.run()
        print(f"{'finished' if finished else 'stopped, run again to go on'}; see {self.run_folder}", flush=True)


def load_rooms(seeds: str, data: DataConfig) -> list[Scene]:
    """The rooms of a range of seeds, made where they are not cached yet."""
    scenes = []
    try:
        chosen = parse_seeds(seeds)
    except ValueError as error:
        raise SrayError(ErrorCode.BAD_FILE, f"seeds: {error}") from error
    for count, seed in enumerate(chosen):
        folder = room_folder(seed, width=data.width, height=data.height, frames=data.frames)
        scenes.append(Scene.load(folder, ROOMS))
        if count % 50 == 0:
            print(f"rooms {count + 1}/{len(chosen)}", flush=True)
    return scenes
