"""All jobs of a study, in the order in which they are worth most to whoever stops it halfway."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import torch

from sray_train.data.named_splits import scene_names
from sray_train.data.rooms import parse_seeds
from sray_train.paper.study.job import Job
from sray_train.paper.study.plan import Study, Variant
from sray_train.paper.study.record import Record
from sray_train.paper.study.single_scenes import SceneJob
from sray_train.paper.study.unseen_scenes import Fusion, Generalization, Rescoring


def jobs(study: Study, folder: Path, device: torch.device) -> Iterator[Job]:
    """All jobs: what needs one seed and one scene, so that every table has a figure early; the other seeds; the other
    scenes, one by one, so that a study that was stopped has compared the same ones; these with the other seeds."""
    variants = list(study.variants.values())
    first, *others = scenes = scene_list(study)
    rounds = range(max(len(variant.seeds) for variant in variants))
    for round_number in rounds:
        for variant in variants:
            kind = _unseen(variant)
            if kind and len(variant.seeds) > round_number:
                yield kind(study, folder, variant, variant.seeds[round_number], device)
        if round_number == 0:
            yield from _scene_jobs(study, folder, first, 0, device)
    for scene in others:
        yield from _scene_jobs(study, folder, scene, 0, device)
    for round_number in rounds[1:]:
        for scene in scenes:
            yield from _scene_jobs(study, folder, scene, round_number, device)


def _unseen(variant: Variant) -> type[Generalization] | None:
    """The job that scores a variant on scenes never seen; None: it learns each scene by itself."""
    if variant.fuse:
        return Fusion
    if variant.rescore:
        return Rescoring
    return Generalization if variant.is_trained else None


def left(planned: Sequence[Job], done: Sequence[Record], failed: Container[str] = ()) -> list[Job]:
    """What there is to do: jobs without their records, but for what failed and what needs that; and trainings that have
    theirs but whose checkpoint, which such a job needs, is gone, as where records came without checkpoints."""
    broken = {(job.gives, job.seed) for job in planned if job.gives and job.name in failed}
    missing = [
        job
        for job in planned
        if not job.is_done(done) and job.name not in failed and (job.needs, job.seed) not in broken
    ]
    needed = {(job.needs, job.seed) for job in missing if not job.is_ready}
    return [job for job in planned if job in missing or (job.gives and (job.gives, job.seed) in needed)]


def _scene_jobs(study: Study, folder: Path, scene: str, round_number: int, device: torch.device) -> Iterator[Job]:
    for variant in study.variants.values():
        for seed in variant.seeds[round_number : round_number + 1]:
            if variant.fine_tune or variant.rays_only:
                yield SceneJob(study, folder, variant, seed, device, scene, "finetuned")
            if variant.scratch:
                yield SceneJob(study, folder, variant, seed, device, scene, "scratch")


def scene_list(study: Study) -> list[str]:
    """The names of the scenes that are learned one by one; of rooms their seeds in five digits."""
    data = next(iter(study.variants.values())).config.data
    if data.dataset == "rooms":
        return [f"{seed:05d}" for seed in parse_seeds(study.scene.scenes)]
    return scene_names(study.scene.scenes, data.dataset)
