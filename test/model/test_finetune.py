"""Fine-tuning on a wall that is known exactly: views it never saw become right, and the given model stays as it was."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from conftest import PlaneScene

from sray import finetune
from sray.finetune import FineTuner, FineTuneResult
from sray.finetune_config import FineTuneConfig
from sray.frames import Frame
from sray.held_out import HeldOut
from sray.learning.losses import LossWeights
from sray.model import SemanticRay, SemanticRayConfig

BOUNDS = (1.0, 4.0)
QUICK = FineTuneConfig(
    steps=60,
    picture_steps=30,
    rays=96,
    pixels=256,
    views=3,
    coarse_samples=12,
    fine_samples=8,
    learning_rate=3e-3,
    picture_learning_rate=3e-3,
    validate_every=30,
)


PLANE = PlaneScene()
SHORT = replace(QUICK, steps=4, picture_steps=2, validate_every=2)


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(1)
    return SemanticRay(SemanticRayConfig(3)).eval()


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return PLANE.ring(6)


@pytest.fixture(scope="module")
def held_out() -> list[Frame]:
    """No camera of the ring stood here."""
    return [PLANE.frame((0.02, 0.03, 0.0), 2), PLANE.frame((-0.15, 0.1, 0.05), -1)]


@pytest.fixture(scope="module")
def untouched(model: SemanticRay) -> dict[str, torch.Tensor]:
    """The model's weights before any test."""
    return weights_of(model)


@pytest.fixture(scope="module")
def good(model, untouched, frames, held_out) -> FineTuneResult:
    return tuned(model, frames, held_out, QUICK)


def tuner_of(model: SemanticRay, frames: list[Frame], held_out: list[Frame], config: FineTuneConfig) -> FineTuner:
    return FineTuner(model, frames[:4], frames[4:], held_out, config, bounds=BOUNDS)


def tuned(model: SemanticRay, frames: list[Frame], held_out: list[Frame], config: FineTuneConfig) -> FineTuneResult:
    tuner = tuner_of(model, frames, held_out, config)
    for _ in tuner.run():
        pass
    return tuner.result()


def weights_of(model: SemanticRay) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(model: SemanticRay, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def test_views_it_never_saw_become_right(good, frames, held_out) -> None:
    assert good.before.strict_miou < 0.4
    assert good.after.strict_miou > good.before.strict_miou + 0.4
    assert good.after.psnr > good.before.psnr + 1.5
    # What it says of the model it returns is what that model does.
    assert HeldOut(held_out, frames[:4], QUICK.views, BOUNDS).score(good.model) == good.after


def test_the_given_model_stays_as_it_was(good, model, untouched) -> None:
    assert changed(good.model, untouched) and not changed(model, untouched)
    assert not model.training and not good.model.training


def test_heads_leave_the_encoder_alone_and_still_help(model, untouched, frames, held_out) -> None:
    result = tuned(model, frames, held_out, replace(QUICK, mode="heads", steps=40, validate_every=40))
    assert result.after.strict_miou > result.before.strict_miou + 0.15
    moved = changed(result.model, untouched)
    assert not any(name.startswith("encoder.") for name in moved)
    assert {"fine.classifier.weight", "coarse.geometry.gate.weight"} <= moved
    assert {step.kind for step in result.curve} == {"start", "rays"}
    assert all(parameter.requires_grad for parameter in result.model.parameters()), "it can be trained further"


def test_color_alone_teaches_color_and_no_labels(model, untouched, frames, held_out) -> None:
    bare = [replace(frame, labels=None, depth=None) for frame in frames]
    config = replace(QUICK, steps=40, validate_every=20, loss=LossWeights(semantic=0.0, depth=0.0))
    result = tuned(model, bare, held_out, config)
    assert result.after.psnr > result.before.psnr + 1.5
    assert not any(name.startswith("fine.classifier") for name in changed(result.model, untouched))
    assert {step.kind for step in result.curve} == {"start", "rays"}
    assert all(step.losses.keys() == {"color"} for step in result.curve[1:])


def test_the_same_seed_gives_the_same_losses_and_weights_and_another_does_not(model, frames) -> None:
    first, again = (tuned(model, frames, [], SHORT) for _ in range(2))
    other = tuned(model, frames, [], replace(SHORT, seed=1))
    losses = [[step.losses for step in result.curve] for result in (first, again, other)]
    assert losses[0] == losses[1] != losses[2]
    assert not changed(first.model, weights_of(again.model))


def test_canceled_at_any_step_it_gives_the_best_so_far(model, untouched, frames, held_out) -> None:
    for steps, best in ((0, 0), (1, 0), (3, None)):
        tuner = tuner_of(model, frames, held_out, replace(SHORT, steps=40))
        for step in tuner.run():
            if step.number == steps:
                break
        result = tuner.result()
        assert (result.steps, len(result.curve)) == (steps, steps + 1)
        if best is not None:
            assert result.best_step == best and not changed(result.model, untouched)
        scores = [step.held_out.strict_miou for step in result.curve if step.held_out]
        assert result.after.strict_miou == max(scores)


def test_weights_worse_than_the_first_are_not_returned(good, frames, held_out) -> None:
    ruin = replace(SHORT, learning_rate=10.0, encoder_learning_rate=10.0, picture_learning_rate=10.0, warm_up=0)
    result = tuned(good.model, frames, held_out, ruin)
    assert result.curve[-1].held_out.strict_miou < good.after.strict_miou - 0.2
    assert result.best_step == 0 and result.after == result.before == good.after
    assert not changed(result.model, weights_of(good.model))


def test_without_held_out_frames_the_last_weights_are_returned(model, untouched, frames) -> None:
    result = tuned(model, frames, [], SHORT)
    assert result.before is None and result.after is None and result.best_step == 4
    assert changed(result.model, untouched)


def test_it_stops_when_the_time_is_up_and_scores_what_it_has(model, frames, held_out, monkeypatch) -> None:
    # A clock that runs by looks at it, not by how busy the machine is.
    monkeypatch.setattr(finetune, "time", SimpleNamespace(perf_counter=count(0.0, 0.05).__next__))
    result = tuned(model, frames, held_out, replace(SHORT, steps=100_000, max_seconds=1e-9))
    assert result.steps == 0 and result.before is not None
    tuner = tuner_of(model, frames, held_out, replace(SHORT, steps=100_000, validate_every=100_000, max_seconds=1.0))
    steps = list(tuner.run())
    assert steps[-1].seconds >= 1.0 > steps[-2].seconds
    assert steps[-1].held_out is not None and steps[-1].seconds_left == 0
    assert math.isnan(steps[0].seconds_left) and 0 < steps[1].seconds_left <= 1.0
