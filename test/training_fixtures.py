"""For tests of whole training runs: a tiny one on a recorded wall, in this process or as a command."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from conftest import PlaneScene

from sray.label_space import ROOMS
from sray.model import SemanticRay, SemanticRayConfig
from sray.sequence_writer import SequenceWriter
from sray_train.data.catalog import load_scenes
from sray_train.data.config import DataConfig
from sray_train.learn.config import EncoderStage, RayStage, TrainConfig
from sray_train.learn.training.logbook import read_records
from sray_train.learn.training.trainer import Trainer

TINY = TrainConfig(
    encoder=EncoderStage(steps=24, batch=4, pixels=64),
    frozen=RayStage(steps=12, train_encoder=False, targets=2, rays=32, views=(2, 3), coarse_samples=8, fine_samples=4),
    joint=RayStage(steps=4, train_encoder=True, targets=2, rays=32, views=(2, 3), coarse_samples=8, fine_samples=4),
    validate_every=10,
    threads=1,
)


def tiny_run(root: Path) -> TrainConfig:
    """A config that learns a wall by heart, which is recorded in the folder `root`."""
    writer = SequenceWriter(root / "wall")
    for number, frame in enumerate(PlaneScene().ring(6)):
        writer.add(number, frame)
    data = DataConfig("folder", str(root), "wall", "wall", "wall", width=48, height=36, frames=0, learn_by_heart=True)
    return replace(TINY, data=data)


def only(config: TrainConfig, *stages: str, steps: int | None = None) -> TrainConfig:
    """The same run without its other stages; `steps`: of each that is left."""
    changed = {
        name: replace(getattr(config, name), steps=0 if name not in stages else steps or getattr(config, name).steps)
        for name in ("encoder", "frozen", "joint")
    }
    return replace(config, **changed)


def written(config: TrainConfig, path: Path) -> Path:
    """The config as a file."""
    path.write_text(yaml.safe_dump(json.loads(json.dumps(asdict(config)))))
    return path


def arguments(config: Path, folder: Path, *more: str) -> list[str]:
    """Of the `sray` command."""
    return ["train", "--config", str(config), "--run-folder", str(folder), *more]


def command(config: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "sray_train.cli", *arguments(config, folder)]


def trainer(config: TrainConfig, folder: Path, **more: Any) -> Trainer:
    """The same as the command, in this process."""
    torch.manual_seed(config.seed)
    scenes = load_scenes(config.data, config.data.train)
    return Trainer(config, SemanticRay(SemanticRayConfig(ROOMS.classes)), ROOMS, scenes, scenes, folder, **more)


def curve(folder: Path) -> list[dict[str, Any]]:
    """The losses that a run has written, step by step."""
    return [record for record in read_records(folder / "log.jsonl") if "loss" in record]
