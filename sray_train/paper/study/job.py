"""Job: what all runs of a study have in common. A job leaves records, and is done where they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sray.render_config import RenderConfig
from sray_train.machine import device_name
from sray_train.paper.study.commit import present_commit
from sray_train.paper.study.folder import run_folder, trained_checkpoint
from sray_train.paper.study.plan import Study, Variant
from sray_train.paper.study.record import Record


class Stopped(Exception):
    """The time is up. The same command goes on: a training where it stopped, a scene from its beginning."""


@dataclass(frozen=True)
class Job(ABC):
    """One thing to run for one variant and seed."""

    study: Study
    folder: Path
    """The study's run folder."""
    variant: Variant
    seed: int
    device: torch.device

    @property
    def place(self) -> Path:
        """Where this variant and seed keep their files."""
        return run_folder(self.folder, self.variant.name, self.seed)

    @property
    def is_labeled(self) -> bool:
        """Whether it has an opinion on classes at all."""
        return self.variant.config.system_class.knows_classes

    @property
    def teacher(self) -> str:
        """Whose labels teach."""
        labels = self.is_labeled and self.variant.config.loss.semantic > 0
        return "ground truth" if labels else "colour alone"

    @property
    @abstractmethod
    def name(self) -> str:
        """What is shown, and what a lock is called."""

    @property
    def needs(self) -> str:
        """The variant that has to be trained before, with the same seed; empty: none."""
        return ""

    @property
    def gives(self) -> str:
        """The variant whose checkpoint it leaves; empty: one that no other job needs."""
        return ""

    @property
    def is_ready(self) -> bool:
        """Whether what it needs is there."""
        return not self.needs or self.needed_checkpoint.exists()

    @property
    def needed_checkpoint(self) -> Path:
        """The trained checkpoint of the variant that it needs."""
        return trained_checkpoint(run_folder(self.folder, self.needs, self.seed))

    @property
    @abstractmethod
    def plan(self) -> dict[str, Any]:
        """Fields by which its records are told from those of other jobs and plans, beside those common to all jobs."""

    def is_done(self, records: Sequence[Record]) -> bool:
        """Whether these records hold its own. One of another plan is not: of other steps, options or encoder."""
        own = self.plan | {
            "variant": self.variant.name,
            "seed": self.seed,
            "options": self.variant.options,
            "encoder": self.study.encoder_hash,
        }
        return any(all(getattr(record, name) == value for name, value in own.items()) for record in records)

    @abstractmethod
    def run(self, seconds: float) -> Iterator[Record]:
        """Do it within so many seconds. Raises Stopped where they are too few."""

    def record(self, **own: Any) -> Record:
        """A record with what all jobs of a variant say alike."""
        threads = torch.get_num_threads()
        size = own.pop("size", (self.variant.config.data.width, self.variant.config.data.height))
        return Record(
            **{"system": self.variant.config.system} | own,
            seed=self.seed,
            commit=present_commit(),
            config=str(self.study.path),
            variant=self.variant.name,
            input="RGB-D" if self.variant.depth else "RGB",
            quality=self.variant.config.evaluation.quality,
            teacher=self.teacher,
            size=size,
            options=self.variant.options,
            device=f"{device_name(self.device)}, {threads} thread{'s' if threads > 1 else ''}",
            encoder=self.study.encoder_hash,
        )

    @property
    def render_config(self) -> RenderConfig:
        return self.variant.config.evaluation.render_config
