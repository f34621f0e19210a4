"""The studies that come with the project: they read, and differ in what they name alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sray_train.learn.systems import SYSTEMS
from sray_train.paper.study.plan import load_study

SHIPPED = sorted(Path("config/studies").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_studies_differ_in_what_they_name_alone(path: Path) -> None:
    study = load_study(path, root="" if path.stem.startswith("rooms") else "scans")
    common = next(iter(study.variants.values())).config
    for variant in study.variants.values():
        steps = 3 * common.frozen.steps if "_longer_" in variant.name else common.frozen.steps
        whole = 0 if "_surface_" in variant.name else common.frozen.whole_ray_samples
        # Each has its own learning rate.
        rate = variant.config.frozen.learning_rate
        frozen = replace(common.frozen, steps=steps, learning_rate=rate, whole_ray_samples=whole)
        data = replace(common.data, test=variant.config.data.test if variant.rescore else common.data.test)
        assert (variant.config.data, variant.config.frozen, variant.config.joint, variant.config.encoder) == (
            data, frozen, common.joint, common.encoder,
        )  # fmt: skip
        assert variant.config.loss == common.loss or variant.name.startswith("loss_")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_scene_has_frames_enough_to_be_learned_by_itself(path: Path) -> None:
    """8 sources, 8 to tune on, 4 to score on."""
    study = load_study(path, root="" if path.stem.startswith("rooms") else "scans")
    for variant in study.variants.values():
        if variant.fine_tune or variant.rays_only or variant.scratch:
            frames = study.scene.frames or variant.config.data.frames
            assert frames >= 20, variant.name


@pytest.mark.parametrize(("name", "frames"), [("scannet", 100), ("replica", 90)])
def test_frames_of_recordings_are_not_neighbors_of_a_thirtieth_of_a_second(name: str, frames: int) -> None:
    study = load_study(Path(f"config/studies/{name}.yaml"), root="scans")
    assert study.scene.frames == study.encoder.data.frames == frames
    assert {variant.config.data.frames for variant in study.variants.values()} == {frames}


def test_the_study_of_the_rooms_has_every_system() -> None:
    study = load_study(Path("config/studies/rooms.yaml"))
    assert {variant.config.system for variant in study.variants.values()} == set(SYSTEMS)
    assert {"voxel_fusion", "voxel_fusion_depth"} <= set(study.variants)
