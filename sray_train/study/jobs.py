"""All jobs of a study, in the order in which they are worth most to whoever stops it halfway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from sray_train.datasets.named_splits import scene_names
from sray_train.datasets.rooms import parse_seeds
from sray_train.study.job import Job
from sray_train.study.plan import Study
from sray_train.study.single_scenes import SceneJob
from sray_train.study.unseen_scenes import Fusion, Generalization


def jobs(study: Study, folder: Path, device: torch.device) -> Iterator[Job]:
    """All jobs: what needs one seed and one scene, so that every table has a figure early; the other seeds; the other
    scenes, one by one, so that a study that was stopped has compared the same ones."""
    variants = list(study.variants.values())
    first, *others = scene_list(study)
    for round_number in range(max(len(variant.seeds) for variant in variants)):
        for variant in variants:
            if len(variant.seeds) > round_number and (variant.fuse or variant.is_trained):
                kind = Fusion if variant.fuse else Generalization
                yield kind(study, folder, variant, variant.seeds[round_number], device)
        if round_number == 0:
            yield from _scene_jobs(study, folder, first, device)
    for scene in others:
        yield from _scene_jobs(study, folder, scene, device)


def _scene_jobs(study: Study, folder: Path, scene: str, device: torch.device) -> Iterator[Job]:
    for variant in study.variants.values():
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
