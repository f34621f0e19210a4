"""`sray train`: the whole recipe of an experiment file, resumable."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from sray.errors import ErrorCode, SrayError
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.ray_model import RayModel
from sray_train.config import TrainConfig, load_config
from sray_train.datasets.catalog import load_scenes, refuse_leaks
from sray_train.datasets.scene import Scene
from sray_train.systems import load_checkpoint
from sray_train.training.allocator import keep_freed_memory
from sray_train.training.trainer import Trainer, make_fabric, part


@dataclass
class Train:
    """Train a model. Run again with the same --run-folder, it goes on where it stopped.

    Several processes or machines: `torchrun --nproc-per-node 2 -m sray_train.cli train --devices 2 ...`.
    """

    config: Path = Path("config/experiments/rooms.yaml")
    """What to train: a YAML of the fields of sray_train.config.TrainConfig."""
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
        refuse_leaks(config.data)
        folder = self.run_folder or Path("results") / self.config.stem
        keep_freed_memory()
        fabric = make_fabric(config.precision, accelerator=self.accelerator, devices=self.devices, nodes=self.nodes)
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads or max(1, (os.cpu_count() or 1) // self.devices))
        space = LABEL_SPACES[config.data.label_space]
        with fabric.rank_zero_first():  # rooms are made by one process, found by the others
            train = load_scenes(config.data, config.data.train)
            validation = load_scenes(config.data, config.data.validation)
        check_scenes(config, train, validation)
        model = config.model.build(space.classes)
        if config.start_from:
            start_from(Path(config.start_from), model, space)
        if config.encoder_from:
            encoder_from(Path(config.encoder_from), model, space)
        trainer = Trainer(config, model, space, train, validation, folder, self.max_hours * 3600, fabric)
        if trainer.resume():
            fabric.print(f"going on after {trainer.progress.seconds / 60:.0f} minutes of training", flush=True)
        finished = trainer.run()
        fabric.print(f"{'finished' if finished else 'stopped, run again to go on'}; see {folder}", flush=True)
        part(fabric)


def check_scenes(config: TrainConfig, train: list[Scene], validation: list[Scene]) -> None:
    """What would end a run in the middle. Raises SrayError, naming the scene.

    TOO_FEW_VIEWS: a scene without a source beside the target. BAD_FILE: pictures that the encoder's stage cannot stack.
    """
    for scene in [*train, *validation]:
        if len(scene.frames) < 2:
            raise SrayError(
                ErrorCode.TOO_FEW_VIEWS,
                f"{scene.name} has {len(scene.frames)} usable frames; expected at least 2: a picture and one to render "
                "it from. Leave it out of data.train and data.validation, or set data.frames higher",
            )
    sizes = {(scene.cameras.width, scene.cameras.height): scene.name for scene in train}
    if config.encoder.steps and len(sizes) > 1:
        shown = ", ".join(f"{name} {width}x{height}" for (width, height), name in list(sizes.items())[:4])
        raise SrayError(
            ErrorCode.BAD_FILE,
            f"scenes of several aspects are at several sizes ({shown}); expected one, as the encoder's pictures are "
            "stacked. Take scenes of one aspect for data.train, or leave the stage out (encoder.steps: 0)",
        )


def start_from(path: Path, model: RayModel, space: LabelSpace) -> None:
    """Give a new model a checkpoint's weights; its classifiers stay new if the checkpoint has another label space.

    Raises SrayError(MODEL_MISMATCH) if the networks differ.
    """
    checkpoint = load_checkpoint(path)
    weights = checkpoint.model.state_dict()
    if checkpoint.label_space.names != space.names:
        weights = {name: tensor for name, tensor in weights.items() if ".classifier." not in name}
    own = model.state_dict()
    for name, tensor in weights.items():
        if name not in own or own[name].shape != tensor.shape:
            raise SrayError(
                ErrorCode.MODEL_MISMATCH,
                f"start_from: {path} has another network (first difference: {name}); expected the one of `system` and "
                "`model` in this config. Set them as the checkpoint has them, or take its encoder alone (encoder_from)",
            )
    model.load_state_dict(weights, strict=False)


def encoder_from(path: Path, model: RayModel, space: LabelSpace) -> None:
    """Give a new model the encoder of a checkpoint of any system, and its picture classifier for the same label space.

    Raises SrayError(MODEL_MISMATCH) if the model has another kind of encoder.
    """
    checkpoint = load_checkpoint(path)
    given, own = checkpoint.model.encoder.state_dict(), model.encoder.state_dict()
    if {name: tensor.shape for name, tensor in given.items()} != {name: tensor.shape for name, tensor in own.items()}:
        raise SrayError(
            ErrorCode.MODEL_MISMATCH,
            f"encoder_from: {path} has another encoder than {model.system}; expected the same layers. Take the "
            "checkpoint of a system that has them, or set encoder_from to nothing",
        )
    model.encoder.load_state_dict(given)
    if checkpoint.label_space.names == space.names:
        learned = checkpoint.model.picture_classifier.state_dict()
        for head in (model.coarse, model.fine):
            head.classifier.load_state_dict(learned)
