"""The 8/8/4 split: who is a source, who is tuned on, who is only scored, and that the last stay out of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import PlaneScene

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.errors import SrayError, TooFewViewsError
from sray.field import SemanticField
from sray.finetune_config import FineTuneConfig
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray_train.data.rooms import parse_seeds
from sray_train.data.scene import Scene
from sray_train.data.view_split import split_views
from sray_train.learn.config import load_config
from sray_train.learn.finetune.scene_tuning import TuningPlan, make_tuner, tune_scene

PLANE = PlaneScene()


class WatchedFrames(Sequence[Frame]):
    """Frames that remember which of them anyone took: pictures, labels and depth are had in no other way."""

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames
        self.taken: set[int] = set()

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index):
        self.taken |= set(range(len(self))[index] if isinstance(index, slice) else [range(len(self))[index]])
        return self._frames[index]


def walk(count: int) -> Scene:
    """A camera that moves along the wall, 10 cm a frame."""
    frames = [PLANE.frame((0.1 * index - 0.05 * count, 0.0, 0.0)) for index in range(count)]
    return Scene("walk", WatchedFrames(frames), Camera.stack([frame.camera for frame in frames]), (1.0, 4.0))


def test_twenty_nearby_frames_are_shared_out_in_turns() -> None:
    split = split_views(walk(30))
    assert [len(part) for part in (split.sources, split.tuning, split.test)] == [8, 8, 4]
    chosen = sorted([*split.sources, *split.tuning, *split.test])
    assert chosen == list(range(chosen[0], chosen[0] + 20)), "on a straight walk the nearest 20 are neighbors"
    assert abs(chosen[0] + 9.5 - 15) <= 1, "around the middle frame"
    for test in split.test:
        assert min(split.sources) < test < max(split.sources)
        assert min(abs(test - source) for source in split.sources) <= 2
    assert [late - early for early, late in zip(split.test, split.test[1:], strict=False)] == [5, 5, 5]


def test_the_split_follows_its_center_and_is_the_same_every_time() -> None:
    scene = walk(40)
    assert split_views(scene, center=5) == split_views(scene, center=5)
    assert max(split_views(scene, center=5).sources) < 22 and min(split_views(scene, center=34).sources) > 17
    assert not scene.frames.taken, "poses alone decide: no picture is read"


def test_frames_far_from_the_center_are_left_out() -> None:
    """Every other frame of the walk looks away from the wall."""
    scene = walk(44)
    poses = scene.cameras.world_from_camera.clone()
    poses[1::2, :3, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    split = split_views(replace(scene, cameras=replace(scene.cameras, world_from_camera=poses)))
    assert all(index % 2 == 0 for part in (split.sources, split.tuning, split.test) for index in part)


@pytest.mark.parametrize("counts", [(1, 1, 1), (4, 2, 1), (3, 9, 5)])
def test_other_counts_are_disjoint_too(counts) -> None:
    split = split_views(walk(sum(counts)), counts)
    parts = [split.sources, split.tuning, split.test]
    assert tuple(map(len, parts)) == counts
    assert sorted(index for part in parts for index in part) == list(range(sum(counts)))


def test_too_few_frames_are_refused_with_how_many_it_takes() -> None:
    with pytest.raises(SrayError, match="walk has 12 usable frames; expected at least 20: 8 sources, 8") as caught:
        split_views(walk(12))
    assert isinstance(caught.value, TooFewViewsError)
    assert len(split_views(walk(12), (4, 4, 4)).test) == 4
    for counts in ((0, 8, 4), (8, 8, 0)):
        with pytest.raises(ValueError, match="at least 1 of each"):
            split_views(walk(20), counts)
    with pytest.raises(SrayError, match="walk has no frame 20; expected 0 to 19"):
        split_views(walk(20), center=20)


SPACE = LabelSpace("stripes", ("a", "b", "c"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (1, 2, 3))
PLAN = TuningPlan(
    FineTuneConfig(steps=6, picture_steps=3, pictures=3, pixels=8, rays=8, coarse_samples=4, fine_samples=2, views=3),
    hold_out=2,
    score_every=2,
)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(SemanticRay(SemanticRayConfig(3)).eval(), SPACE, {}, "0" * 64)


def test_no_test_frame_is_taken_for_fine_tuning(checkpoint) -> None:
    """Every frame whose picture, labels or depth anyone takes is written down."""
    scene = walk(24)
    split = split_views(scene)
    tuner = make_tuner(checkpoint.model, scene, split, PLAN)
    assert len(list(tuner.run())) == 7
    assert scene.frames.taken == {*split.sources, *split.tuning}
    assert not scene.frames.taken & set(split.test)


def test_what_test_frames_show_changes_no_weight(checkpoint) -> None:
    """The whole of it, scoring included: test frames of noise and wrong labels change the scores, and only those."""
    scene, split = walk(24), split_views(walk(24))
    spoilt = [scene.frames[index] for index in range(24)]
    for index in split.test:
        noise = torch.randint(0, 256, spoilt[index].image.shape, dtype=torch.uint8)
        spoilt[index] = replace(spoilt[index], image=noise, labels=2 - spoilt[index].labels)
    clean, noisy = (tune_scene(checkpoint, each, split, PLAN) for each in (scene, replace(scene, frames=spoilt)))
    assert clean.after.record()["psnr"] > noisy.after.record()["psnr"] + 3
    assert [step.losses for step in clean.result.curve] == [step.losses for step in noisy.result.curve]
    assert clean.result.best_step == noisy.result.best_step
    for name, tensor in clean.result.model.state_dict().items():
        assert torch.equal(tensor, noisy.result.model.state_dict()[name]), name


def test_held_out_frames_choose_and_do_not_teach(checkpoint) -> None:
    scene, split = walk(24), split_views(walk(24))
    kept = [len(make_tuner(checkpoint.model, scene, split, replace(PLAN, hold_out=held))._frames) for held in (0, 2, 8)]
    assert kept == [16, 14, 8]
    with pytest.raises(ValueError, match="9 of 8 tuning frames"):
        make_tuner(checkpoint.model, scene, split, replace(PLAN, hold_out=9))


def test_rooms_to_train_on_are_never_scored_on() -> None:
    config = load_config(Path(__file__).parents[2] / "config" / "experiments" / "rooms.yaml").data
    seeds = {part: set(parse_seeds(getattr(config, part))) for part in ("train", "validation", "test")}
    assert not seeds["train"] & seeds["test"] and not seeds["validation"] & seeds["test"]
    assert min(seeds["test"]) >= 9000 > 8999 >= max(seeds["train"] | seeds["validation"])


@pytest.mark.parametrize(("plan", "teaches", "guides"), [("", 0, 0), ("teach_depth", 1, 0), ("depth", 1, 1)])
def test_depth_is_looked_at_only_if_asked_for(checkpoint, plan, teaches, guides, monkeypatch) -> None:
    """A made scene's frames have depth; figures without it must not owe it anything."""
    scene, split, given = walk(24), split_views(walk(24)), []
    show = SemanticField.set_sources
    monkeypatch.setattr(
        SemanticField,
        "set_sources",
        lambda field, views, *a, **k: (given.append(views.depth), show(field, views, *a, **k)),
    )
    tuned = tune_scene(checkpoint, scene, split, replace(PLAN, hold_out=0, **({plan: True} if plan else {})))
    assert ["depth" in step.losses for step in tuned.result.curve if step.kind == "rays"] == [bool(teaches)] * 3
    assert {depth is not None for depth in given} == {bool(guides)}
    assert tuned.record()["after"]["depth_abs_rel"] > 0, "known to the scorer alone"
