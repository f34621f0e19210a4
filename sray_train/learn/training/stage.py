"""What a stage of training is, and how the work of a step is drawn: the same for a seed, whoever draws it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sray_train.data.scene import Scene
from sray_train.learn.config import EncoderStage, RayStage, StereoStage


class Batch(Protocol):
    """What one process works on in one step."""

    def to(self, device: torch.device) -> Batch: ...


class Stage(Protocol):
    """One part of a training run. A module, so that it can be wrapped for several processes."""

    name: str

    @property
    def config(self) -> EncoderStage | RayStage | StereoStage: ...
    @property
    def shares(self) -> int:
        """Independent parts of a step's work, spread over the processes."""
        ...

    def parameter_groups(self) -> Iterator[dict[str, Any]]: ...
    def draw(self, generators: list[torch.Generator]) -> Batch:
        """So many shares of a step's work, on the CPU; may run in a loader's process."""
        ...

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss over the shares of a batch, and its terms."""
        ...

    def validate(self, scenes: list[Scene]) -> dict[str, float]:
        """Scores of the present weights."""
        ...

    def rank(self, scores: dict[str, float]) -> float:
        """By which of two validations the checkpoint is chosen: the higher one's."""
        ...

    def finish(self) -> None: ...


class Work:
    """A batch as one closed parcel: a wrapped module would take dataclasses apart, and frozen ones stay in pieces."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class StageModule(nn.Module):
    """A stage as a module whose call is its loss."""

    def __init__(self, stage: Stage, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._stage = [stage]  # in a list: not a submodule

    def forward(self, work: Work) -> tuple[Tensor, dict[str, Tensor]]:
        return self._stage[0].forward(work.batch)


@dataclass(frozen=True)
class StepSeeds:
    """One seed for every share of every step: a resumed run, or one on more processes, draws the same work."""

    run: int
    stage: int

    def of(self, step: int, share: int) -> int:
        return ((self.run * 1009 + self.stage) * 1_000_003 + step) * 1009 + share


class Steps(Dataset[Batch]):
    """Step number -> this process's part of its work."""

    def __init__(self, stage: Stage, seeds: StepSeeds, process: int = 0, processes: int = 1) -> None:
        self._stage = stage
        self._seeds = seeds
        self._shares = range(process, stage.shares, processes)

    def __getitem__(self, step: int) -> Batch:
        seeds = [self._seeds.of(step, share) for share in self._shares]
        return self._stage.draw([torch.Generator().manual_seed(seed) for seed in seeds])


def prefetched(steps: Steps, wanted: range, workers: int) -> Iterator[Batch]:
    """The work of the wanted steps in order, drawn ahead by so many processes (0: drawn when asked for)."""
    loader: DataLoader[Batch] = DataLoader(
        steps,
        batch_size=None,
        sampler=wanted,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_leave_interrupts_alone,
    )
    return iter(loader)


def _leave_interrupts_alone(_worker: int) -> None:
    """Ctrl-C reaches every process of a terminal: the training process decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
