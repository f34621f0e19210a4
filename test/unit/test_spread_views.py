"""Frames spread over a scene to learn from, and those away from them: by the walked path, and in the scores."""

from __future__ import annotations

import itertools

import pytest
import torch
from conftest import PlaneScene

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.errors import SrayError, TooFewViewsError
from sray.finetune_config import FineTuneConfig
from sray.label_space import LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray_train.data.scene import Scene
from sray_train.data.view_split import split_views, spread_views, with_others
from sray_train.learn.finetune.scene_tuning import TuningPlan, make_tuner, tune_scene
from sray_train.score.evaluate import elsewhere_queries

SPACE = LabelSpace("stripes", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))


def walk(count: int) -> Scene:
    """A camera that moves along the wall, 10 cm a frame."""
    frames = tuple(PlaneScene().frame((0.1 * index - 0.05 * count, 0.0, 0.0)) for index in range(count))
    return Scene("walk", frames, Camera.stack([frame.camera for frame in frames]), (1.0, 4.0))


def test_what_teaches_is_spread_over_the_whole_scene_and_what_is_scored_lies_between() -> None:
    split = spread_views(walk(60))
    assert [len(part) for part in (split.sources, split.tuning, split.test)] == [8, 8, 4]
    taught = sorted([*split.sources, *split.tuning])
    assert taught[0] <= 2 and taught[-1] >= 57
    assert {later - earlier for earlier, later in itertools.pairwise(taught)} <= {3, 4}
    assert not set(split.test) & set(taught)
    assert all(min(abs(test - frame) for frame in taught) >= 1 for test in split.test)
    assert split_views(walk(60)).test != split.test, "the paper's are neighbors"
    assert len(set(spread_views(walk(20)).test)) == 4, "no more frames than are wanted"
    with pytest.raises(SrayError) as error:
        spread_views(walk(19))
    assert isinstance(error.value, TooFewViewsError)


def test_frames_elsewhere_are_away_from_those_taught_and_are_not_remembered() -> None:
    split = with_others(walk(60), split_views(walk(60)), remembered=6, elsewhere=5)
    around = {*split.sources, *split.tuning, *split.test}
    assert (min(around), max(around)) == (20, 39)
    assert len(split.remembered) == 6 and len(split.elsewhere) == 5
    assert not around & {*split.remembered, *split.elsewhere} and not set(split.remembered) & set(split.elsewhere)
    assert {0, 59} <= set(split.elsewhere), "the ends of the walk are farthest"
    assert min(split.remembered) < 20 and max(split.remembered) > 39, "spread over what is left"
    assert with_others(walk(20), split_views(walk(20)), 6, 5) == split_views(walk(20)), "no other frames"
    few = with_others(walk(23), split_views(walk(23)), 6, 5)
    assert len(few.elsewhere) == 2 and len(few.remembered) == 1


def test_frames_elsewhere_are_scored_before_and_after_and_teach_nothing() -> None:
    torch.manual_seed(0)
    checkpoint = Checkpoint(SemanticRay(SemanticRayConfig(3)), SPACE, {}, "")
    scene = walk(26)
    split = with_others(scene, split_views(scene), remembered=2, elsewhere=2)
    plan = TuningPlan(
        FineTuneConfig(steps=2, picture_steps=1, rays=16, pixels=16, views=2), quality="fast", score_every=0
    )
    tuner = make_tuner(checkpoint.model, scene, split, plan)
    taught = {float(frame.camera.center[0]) for frame in tuner._frames}
    assert {float(scene.cameras.center[index, 0]) for index in (*split.sources, *split.tuning)} <= taught
    assert not {float(scene.cameras.center[index, 0]) for index in (*split.elsewhere, *split.test)} & taught
    assert all(query.target not in query.sources for query in elsewhere_queries(scene, split))
    tuned = tune_scene(checkpoint, scene, split, plan)
    record = tuned.record()
    assert record["before_elsewhere"]["pictures"] == record["after_elsewhere"]["pictures"] == 2
    assert record["frames"]["elsewhere"] == [scene.frames[index].name for index in split.elsewhere]
    nowhere = tune_scene(checkpoint, scene, split_views(scene), plan).record()
    assert nowhere["before_elsewhere"] is None
