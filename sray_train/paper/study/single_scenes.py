"""SceneJob: one scene, learned and scored along the way, from a trained checkpoint or from new weights."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from sray.checkpoint import Checkpoint, save_checkpoint
from sray.finetune_config import FineTuneConfig
from sray.ray_model import RayModel
from sray_train.data.catalog import load_scenes
from sray_train.data.view_split import split_views
from sray_train.learn.finetune.from_scratch import new_checkpoint, scratch_config
from sray_train.learn.finetune.scene_tuning import TuningPlan, tune_scene, tuned_lineage
from sray_train.learn.systems import load_checkpoint
from sray_train.paper.study.folder import scene_checkpoint
from sray_train.paper.study.job import Job, Stopped
from sray_train.paper.study.record import Record, Setting, metrics_of
from sray_train.records import with_nulls


@dataclass(frozen=True)
class SceneJob(Job):
    """One test scene, learned from 16 of its frames and scored on 4 others along the way."""

    scene: str
    setting: Setting

    @property
    def needs(self) -> str:
        return (self.variant.rays_only or self.variant.name) if self.setting == "finetuned" else ""

    @property
    def name(self) -> str:
        return f"{self.variant.name} seed {self.seed} {self.setting} on {self.data}"

    @property
    def data(self) -> str:
        return f"{self.variant.config.data.dataset} {self.scene}"

    @property
    def config(self) -> FineTuneConfig:
        if self.setting == "finetuned":
            by_pictures = not self.variant.rays_only
            return FineTuneConfig(steps=self.study.scene.steps, seed=self.seed, teach_pictures=by_pictures)
        assert self.variant.scratch is not None
        return scratch_config(replace(self.variant.config, frozen=self.variant.scratch), seed=self.seed)

    @property
    def plan(self) -> dict[str, Any]:
        return {"setting": self.setting, "data": self.data, "steps": self.config.steps}

    def run(self, seconds: float) -> Iterator[Record]:
        config = self.variant.config
        torch.set_num_threads(config.threads or torch.get_num_threads())
        frames = self.study.scene.frames or config.data.frames
        scene = load_scenes(replace(config.data, frames=frames), self.scene)[0]
        split = split_views(scene)
        start: Checkpoint[RayModel]
        if self.setting == "finetuned":
            start = load_checkpoint(self.needed_checkpoint)
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
                metrics=metrics_of(row, self.is_labeled),
                seconds=round(row["processor_seconds" if self.device.type == "cpu" else "seconds"], 1),
                clock="processor" if self.device.type == "cpu" else "wall",
                steps=row["step"],
                views=len(split.sources),
                pictures=len(split.test),
                size=(scene.cameras.width, scene.cameras.height),
            )
