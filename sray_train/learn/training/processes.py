"""The processes of a run: one, or several that share each step's work and average their gradients."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from sray.errors import RequestError
from sray_train.learn.config import TrainConfig


def make_fabric(
    precision: str = "32-true", *, accelerator: str = "auto", devices: int | str = "auto", nodes: int = 1
) -> Fabric:
    """Devices, precision and processes of a run; reads what `torchrun` says of its processes.

    Raises RequestError if torchrun started another number of them.
    """
    # A stage need not train every head: DDP must not wait for gradients that never come.
    several = DDPStrategy(find_unused_parameters=True, timeout=timedelta(hours=3))  # one may have rooms to make
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        precision=precision,  # type: ignore[arg-type]
        strategy=several if nodes > 1 or devices not in (1, "1") else "auto",
    )
    fabric.launch()
    started = int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else fabric.world_size
    if started != fabric.world_size:
        raise RequestError(
            f"torchrun started {started} processes, --devices and --nodes make {fabric.world_size}: each would train "
            "by itself in one folder",
            f"the same number, such as --devices {started}",
        )
    return fabric


def part(fabric: Fabric) -> None:
    """End a run of several processes together: one that left while others still spoke to it would abort."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        fabric.barrier()
        torch.distributed.destroy_process_group()


def check_shares(config: TrainConfig, processes: int) -> None:
    """Raises RequestError if the processes cannot share a step's work evenly."""
    for name, steps, shares in (
        ("encoder.batch", config.encoder.steps, config.encoder.batch),
        ("stereo.batch", config.stereo.steps, config.stereo.batch),
        ("frozen.targets", config.frozen.steps, config.frozen.targets),
        ("joint.targets", config.joint.steps, config.joint.targets),
    ):
        if steps and shares % processes:
            raise RequestError(f"{name} is {shares}, which {processes} processes cannot share evenly", "a multiple")
