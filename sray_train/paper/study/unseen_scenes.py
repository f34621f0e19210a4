"""Generalization: a training on many scenes, and its scores on scenes it never saw, of other views too, or fused into
voxels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from sray.checkpoint import save_checkpoint
from sray.field import SemanticField
from sray.files import write_atomically
from sray.label_space import LABEL_SPACES
from sray_train.data.catalog import load_scenes
from sray_train.learn.config import TrainConfig
from sray_train.learn.systems import load_checkpoint
from sray_train.learn.training.processes import make_fabric
from sray_train.learn.training.run import make_trainer
from sray_train.paper.baselines.picture_labels import NetworkLabels
from sray_train.paper.baselines.voxel_fusion import VoxelFusion
from sray_train.paper.study.folder import shared_encoder, trained_checkpoint, trained_encoder
from sray_train.paper.study.job import Job, Stopped
from sray_train.paper.study.plan import Study
from sray_train.paper.study.record import Record, metrics_of
from sray_train.score.evaluate import Renderer, evaluate, spread_queries
from sray_train.score.image_quality import find_lpips


@dataclass(frozen=True)
class Generalization(Job):
    """A training on many scenes, scored on those it never saw."""

    @property
    def name(self) -> str:
        return f"{self.variant.name} seed {self.seed}"

    @property
    def gives(self) -> str:
        return self.variant.name

    @property
    def plan(self) -> dict[str, Any]:
        data, evaluation = self.variant.config.data, self.variant.config.evaluation
        return {
            "setting": "generalization",
            "data": f"{data.dataset} {data.test}",
            "steps": self.steps,
            "quality": evaluation.quality,
            "views": evaluation.views,
            "teacher": self.teacher,
        }

    @property
    def steps(self) -> int:
        return self.variant.config.frozen.steps + self.variant.config.joint.steps

    def run(self, seconds: float) -> Iterator[Record]:
        config = self.variant.run(self.seed, shared_encoder(self.study, self.folder))
        trainer = make_trainer(config, self.place, max_seconds=seconds, fabric=fabric_on(self.device, config))
        if not trainer.run():
            raise Stopped
        # The last weights: systems are compared after the same number of steps, not each at its luckiest.
        save_checkpoint(trained_checkpoint(self.place), trainer.model, trainer.label_space, trainer.lineage)
        yield self.scored(SemanticField(trainer.model.eval(), self.render_config), trainer.progress.seconds)

    def scored(self, renderer: Renderer, seconds: float, **own: Any) -> Record:
        """The record of a renderer on the test scenes."""
        data, plan = self.variant.config.data, self.variant.config.evaluation
        scenes = load_scenes(data, data.test)
        queries = [query for scene in scenes for query in spread_queries(scene, plan.targets, plan.views, plan.apart)]
        lpips, _ = find_lpips()
        space = LABEL_SPACES[data.label_space]
        result = evaluate(renderer, queries, space, depth=self.variant.depth, lpips=lpips).record()
        return self.record(
            **own,
            steps=self.steps,
            clock="wall",
            setting="generalization",
            data=f"{data.dataset} {data.test}",
            metrics=metrics_of(result, self.is_labeled),
            seconds=round(seconds, 1),
            views=plan.views,
            pictures=len(queries),
            size=(scenes[0].cameras.width, scenes[0].cameras.height),
            per_scene={each["scene"]: metrics_of(each, self.is_labeled) for each in result["per_scene"]},
        )


@dataclass(frozen=True)
class Rescoring(Generalization):
    """A trained variant, scored once more in another way: from views farther away, or more of them."""

    @property
    def needs(self) -> str:
        return self.variant.rescore or self.variant.fuse

    @property
    def gives(self) -> str:
        return ""

    def run(self, seconds: float) -> Iterator[Record]:
        field, trained = self.trained()
        yield self.scored(field, trained)

    def trained(self) -> tuple[SemanticField, float]:
        """What it needs, and the seconds that its training took."""
        checkpoint = load_checkpoint(self.needed_checkpoint)
        field = SemanticField(checkpoint.model.to(self.device), self.render_config)
        return field, float(checkpoint.lineage["seconds"])


@dataclass(frozen=True)
class Fusion(Rescoring):
    """2D labels of a trained variant, fused into voxels: what one would do without a radiance field."""

    def run(self, seconds: float) -> Iterator[Record]:
        field, trained = self.trained()
        # What was learned of pictures alone, where there is such a checkpoint: rays have changed the classifier since.
        encoder = shared_encoder(self.study, self.folder)
        labels = load_checkpoint(encoder).model if encoder else field.model
        fusion = VoxelFusion(NetworkLabels(labels.to(self.device)), field)
        yield self.scored(fusion, trained, system=VoxelFusion.system)


def train_encoder(study: Study, folder: Path, device: torch.device, seconds: float) -> None:
    """The pre-trained encoder that all variants share, if it is not there yet. Raises Stopped."""
    if not study.encoder.encoder.steps or trained_encoder(folder).exists():
        return
    fabric = fabric_on(device, study.encoder)
    trainer = make_trainer(study.encoder, folder / "encoder", max_seconds=seconds, fabric=fabric)
    if not trainer.run():
        raise Stopped
    write_atomically(trained_encoder(folder), (folder / "encoder" / "best_encoder.safetensors").read_bytes())


def fabric_on(device: torch.device, config: TrainConfig) -> Fabric:
    return make_fabric(config.precision, accelerator=device.type, devices=1)
