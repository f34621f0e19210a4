"""What a study consists of: trainings with their scores on unseen scenes, and scenes learned one by one.

A job leaves records. One whose records are there is done; a training that was stopped goes on.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from sray.checkpoint import Checkpoint, save_checkpoint
from sray.field import SemanticField
from sray.files import write_atomically
from sray.finetune_config import FineTuneConfig
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray_train.baselines.nerf import NeRF
from sray_train.baselines.picture_labels import NetworkLabels
from sray_train.baselines.voxel_fusion import VoxelFusion
from sray_train.bench.run import device_name
from sray_train.config import TrainConfig
from sray_train.datasets.catalog import load_scenes
from sray_train.datasets.named_splits import scene_names
from sray_train.datasets.rooms import parse_seeds
from sray_train.datasets.view_split import split_views
from sray_train.evaluation.evaluate import Renderer, evaluate, spread_queries
from sray_train.evaluation.image_quality import find_lpips
from sray_train.records import with_nulls
from sray_train.study.commit import present_commit
from sray_train.study.plan import Study, Variant
from sray_train.study.record import Record, Setting, metrics_of
from sray_train.systems import load_checkpoint
from sray_train.training.run import make_trainer
from sray_train.training.trainer import make_fabric
from sray_train.tuning.from_scratch import new_checkpoint, scratch_config
from sray_train.tuning.scene_tuning import TuningPlan, tune_scene, tuned_lineage


class Stopped(Exception):
    """The time is up: what is done is saved, and the same command goes on."""


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
    def is_labelled(self) -> bool:
        """Whether it has an opinion on classes at all."""
        return self.variant.config.system != NeRF.system

    @property
    @abstractmethod
    def name(self) -> str:
        """What is shown, and what a lock is called."""

    @property
    def needs(self) -> str:
        """The variant that has to be trained before, with the same seed; empty: none."""
        return ""

    @property
    def is_ready(self) -> bool:
        """Whether what it needs is there."""
        return not self.needs or trained_checkpoint(self.place).exists()

    @abstractmethod
    def is_done(self, records: list[Record]) -> bool:
        """Whether these records hold its own."""

    @abstractmethod
    def run(self, seconds: float) -> Iterator[Record]:
        """Do it within so many seconds. Raises Stopped where they are too few."""

    def record(self, **own: Any) -> Record:
        """A record with what all jobs of a variant say alike."""
        size = own.pop("size", (self.variant.config.data.width, self.variant.config.data.height))
        return Record(
            **{"system": self.variant.config.system} | own,
            seed=self.seed,
            commit=present_commit(),
            config=str(self.study.path),
            variant=self.variant.name,
            input="RGB-D" if self.variant.depth else "RGB",
            quality=self.variant.config.evaluation.quality,
            size=size,
            options=self.variant.options,
            device=f"{device_name(self.device)}, torch threads: {torch.get_num_threads()}",
        )


@dataclass(frozen=True)
class Generalization(Job):
    """A training on many scenes, scored on those it never saw."""

    @property
    def name(self) -> str:
        return f"{self.variant.name} seed {self.seed}"

    def is_done(self, records: list[Record]) -> bool:
        known = {(record.variant, record.setting, record.seed) for record in records}
        return (self.variant.name, "generalization", self.seed) in known

    def run(self, seconds: float) -> Iterator[Record]:
        encoder = shared_encoder(self.folder) if self.study.encoder.encoder.steps else None
        config = self.variant.run(self.seed, encoder)
        trainer = make_trainer(config, self.place, max_seconds=seconds, fabric=fabric_on(self.device, config))
        if not trainer.run():
            raise Stopped
        # The last weights: systems are compared after the same number of steps, not each at its luckiest.
        save_checkpoint(trained_checkpoint(self.place), trainer.model, trainer.label_space, trainer.lineage)
        yield self.scored(SemanticField(trainer.model.eval(), preset(self.variant)), trainer.progress.seconds)

    def scored(self, renderer: Renderer, seconds: float, **own: Any) -> Record:
        """The record of a renderer on the test scenes."""
        data, plan = self.variant.config.data, self.variant.config.evaluation
        scenes = load_scenes(data, data.test)
        queries = [query for scene in scenes for query in spread_queries(scene, plan.targets, plan.views)]
        lpips, _ = find_lpips()
        checkpoint = load_checkpoint(trained_checkpoint(self.place))
        result = evaluate(renderer, queries, checkpoint.label_space, depth=self.variant.depth, lpips=lpips).record()
        return self.record(
            **{"steps": self.variant.config.frozen.steps + self.variant.config.joint.steps} | own,
            setting="generalization",
            data=f"{data.dataset} {data.test}",
            metrics=metrics_of(result, self.is_labelled),
            seconds=round(seconds, 1),
            views=plan.views,
            pictures=len(queries),
            size=(scenes[0].cameras.width, scenes[0].cameras.height),
            per_scene={each["scene"]: metrics_of(each, self.is_labelled) for each in result["per_scene"]},
        )


@dataclass(frozen=True)
class Fusion(Generalization):
    """2D labels of a trained variant, fused into voxels: what one would do without a radiance field."""

    @property
    def needs(self) -> str:
        return self.variant.fuse

    def run(self, seconds: float) -> Iterator[Record]:
        checkpoint = load_checkpoint(trained_checkpoint(self.place))
        field = SemanticField(checkpoint.model.to(self.device), preset(self.variant))
        trained = float(checkpoint.lineage["seconds"])
        yield self.scored(VoxelFusion(NetworkLabels(field.model), field), trained, system=VoxelFusion.system)

    @property
    def place(self) -> Path:
        return run_folder(self.folder, self.variant.fuse, self.seed)


@dataclass(frozen=True)
class SceneJob(Job):
    """One test scene, learned from 16 of its frames and scored on 4 others along the way."""

    scene: str
    setting: Setting

    @property
    def needs(self) -> str:
        return self.variant.name if self.setting == "finetuned" else ""

    @property
    def name(self) -> str:
        return f"{self.variant.name} seed {self.seed} {self.setting} on {self.data}"

    @property
    def data(self) -> str:
        return f"{self.variant.config.data.dataset} {self.scene}"

    @property
    def config(self) -> FineTuneConfig:
        if self.setting == "finetuned":
            return FineTuneConfig(steps=self.study.scene.steps, seed=self.seed)
        assert self.variant.scratch is not None
        return scratch_config(replace(self.variant.config, frozen=self.variant.scratch), seed=self.seed)

    def is_done(self, records: list[Record]) -> bool:
        own = (self.variant.name, self.setting, self.seed, self.data, self.config.steps)
        return own in {(each.variant, each.setting, each.seed, each.data, each.steps) for each in records}

    def run(self, seconds: float) -> Iterator[Record]:
        config = self.variant.config
        torch.set_num_threads(config.threads or torch.get_num_threads())
        scene = load_scenes(config.data, self.scene)[0]
        split = split_views(scene)
        start: Checkpoint[RayModel]
        if self.setting == "finetuned":
            start = load_checkpoint(trained_checkpoint(self.place))
        else:
            start = new_checkpoint(config, scene, split, self.seed)
        start.model.to(self.device)
        curve_at = self.study.scene.score_every
        if self.setting == "scratch":  # as many points, of more steps
            curve_at = max(1, self.config.steps * curve_at // self.study.scene.steps)
        plan = TuningPlan(
            self.config, depth=self.variant.depth, quality=config.evaluation.quality, score_every=curve_at
        )
        ends = time.monotonic() + seconds
        tuned = tune_scene(start, scene, split, plan, canceled=lambda: time.monotonic() > ends)
        if tuned.stopped:
            raise Stopped
        lineage = with_nulls(tuned_lineage(tuned, start, plan))
        save_checkpoint(
            scene_checkpoint(self.place, self.setting, self.scene), tuned.result.model, start.label_space, lineage
        )
        for row in tuned.curve:
            yield self.record(
                setting=self.setting,
                data=self.data,
                metrics=metrics_of(row, self.is_labelled),
                seconds=round(row["seconds"], 1),
                steps=row["step"],
                views=len(split.sources),
                pictures=len(split.test),
                size=(scene.cameras.width, scene.cameras.height),
            )


def jobs(study: Study, folder: Path, device: torch.device) -> Iterator[Job]:
    """All jobs: first what needs one seed, so that every table has a figure early; then the other seeds."""
    variants = list(study.variants.values())
    for round_number in range(max(len(variant.seeds) for variant in variants)):
        chosen = [variant for variant in variants if len(variant.seeds) > round_number]
        for variant in chosen:
            kind = Fusion if variant.fuse else Generalization
            if variant.fuse or variant.is_trained:
                yield kind(study, folder, variant, variant.seeds[round_number], device)
        if round_number == 0:
            yield from _scene_jobs(study, folder, chosen, device)


def _scene_jobs(study: Study, folder: Path, variants: list[Variant], device: torch.device) -> Iterator[Job]:
    """Scene by scene, so that a study that was stopped has compared the same scenes."""
    for scene in scene_list(study):
        for variant in variants:
            if variant.fine_tune:
                yield SceneJob(study, folder, variant, variant.seeds[0], device, scene, "finetuned")
            if variant.scratch:
                yield SceneJob(study, folder, variant, variant.seeds[0], device, scene, "scratch")


def scene_list(study: Study) -> list[str]:
    """The names of the scenes that are learned one by one; of rooms their seeds in five digits."""
    data = next(iter(study.variants.values())).config.data
    if data.dataset == "rooms":
        return [f"{seed:05d}" for seed in parse_seeds(study.scene.scenes)]
    return scene_names(study.scene.scenes, data.dataset)


def shared_encoder(folder: Path) -> Path:
    return folder / "encoder.safetensors"


def train_encoder(study: Study, folder: Path, device: torch.device, seconds: float) -> None:
    """The pre-trained encoder that all variants share, if it is not there yet. Raises Stopped."""
    if not study.encoder.encoder.steps or shared_encoder(folder).exists():
        return
    fabric = fabric_on(device, study.encoder)
    trainer = make_trainer(study.encoder, folder / "encoder", max_seconds=seconds, fabric=fabric)
    if not trainer.run():
        raise Stopped
    write_atomically(shared_encoder(folder), (folder / "encoder" / "best_encoder.safetensors").read_bytes())


def fabric_on(device: torch.device, config: TrainConfig) -> Fabric:
    return make_fabric(config.precision, accelerator=device.type, devices=1)


def run_folder(folder: Path, variant: str, seed: int) -> Path:
    return folder / variant / f"seed{seed}"


def trained_checkpoint(place: Path) -> Path:
    """Of a `run_folder`: the weights after the last step."""
    return place / "trained.safetensors"


def scene_checkpoint(place: Path, setting: Setting, scene: str) -> Path:
    """Of a `run_folder`: what was learned of one scene."""
    return place / setting / f"{scene}.safetensors"


def preset(variant: Variant) -> RenderConfig:
    return RenderConfig.preset(variant.config.evaluation.quality)
