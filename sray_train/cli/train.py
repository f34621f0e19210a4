"""`sray train`: the whole recipe of an experiment file, resumable."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from sray.checkpoint import load_checkpoint
from sray.errors import ErrorCode, SrayError
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.model import SemanticRay
from sray_train.config import load_config
from sray_train.datasets.catalog import load_scenes
from sray_train.training.allocator import keep_freed_memory
from sray_train.training.trainer import Trainer, make_fabric


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

    def main(self) -> None:
        config = load_config(self.config)
        folder = self.run_folder or Path("results") / self.config.stem
        keep_freed_memory()
        fabric = make_fabric(config.precision, accelerator=self.accelerator, devices=self.devices, nodes=self.nodes)
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads or max(1, (os.cpu_count() or 1) // self.devices))
        space = LABEL_SPACES[config.data.label_space]
        with fabric.rank_zero_first():  # rooms are made by one process, found by the others
            train = load_scenes(config.data, config.data.train)
            validation = load_scenes(config.data, config.data.validation)
        model = SemanticRay(config.model.network(space.classes))
        if config.start_from:
            start_from(Path(config.start_from), model, space)
        trainer = Trainer(config, model, space, train, validation, folder, self.max_hours * 3600, fabric)
        if trainer.resume():
            fabric.print(f"going on after {trainer.progress.seconds / 60:.0f} minutes of training", flush=True)
        finished = trainer.run()
        fabric.print(f"{'finished' if finished else 'stopped, run again to go on'}; see {folder}", flush=True)


def start_from(path: Path, model: SemanticRay, space: LabelSpace) -> None:
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
                f"start_from: {path} has another network (first difference: {name}); expected the one of `model` in "
                "this config. Set model.preset as that checkpoint has it, or start_from to nothing",
            )
    model.load_state_dict(weights, strict=False)
