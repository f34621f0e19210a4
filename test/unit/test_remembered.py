"""What frames to learn from do not show is held to the old answers; what they do show is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from conftest import PlaneScene

from sray.finetune import FineTuner
from sray.finetune_config import FineTuneConfig
from sray.frames import Frame
from sray.label_space import VOID
from sray.learning.supervision import pixel_logits
from sray.model import SemanticRay, SemanticRayConfig
from sray.remembered import remembered, taught_classes

PLANE = PlaneScene(width=48, height=36)


def frames(count: int, start: float = 0.0) -> list[Frame]:
    return [replace(PLANE.frame((start + 0.1 * index, 0.0, 0.0)), name=str(index)) for index in range(count)]


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    """Knows the three stripes of the wall: taught on single pictures, in seconds."""
    torch.manual_seed(0)
    config = FineTuneConfig(steps=60, picture_steps=60, pixels=256)
    tuner = FineTuner(SemanticRay(SemanticRayConfig(3)), frames(4), config=config)
    list(tuner.run())
    return tuner.result().model


def share(model: SemanticRay, frame: Frame, label: int) -> float:
    """Of the pixels of a class, those that the model's 2D half calls it."""
    assert frame.labels is not None
    image = frame.image.permute(2, 0, 1).unsqueeze(0).float() / 255
    with torch.no_grad():
        answer = pixel_logits(model, model.eval().encoder(image), frame.camera.pixel_grid().unsqueeze(0))[0].argmax(-1)
    there = frame.labels.flatten() == label
    return float((answer[there] == label).float().mean())


def only(frame: Frame, *labels: int) -> Frame:
    assert frame.labels is not None
    known = torch.isin(frame.labels.int(), torch.tensor(labels, dtype=torch.int))
    return replace(frame, labels=torch.where(known, frame.labels, VOID))


def test_classes_that_labels_show() -> None:
    frame = PLANE.frame((0.0, 0.0, 0.0))
    assert taught_classes([frame], 3) == {0, 1, 2}
    assert taught_classes([only(frame, 1), replace(frame, labels=None)], 3) == {1}
    stray = only(frame, 1).labels.clone()
    stray[0, 0] = 2
    assert taught_classes([replace(frame, labels=stray)] * 2, 3) == {1} or (stray == 1).sum() < 1000, "a stray pixel"
    assert taught_classes([replace(frame, labels=None)], 3) == set()


def test_old_answers_stand_where_no_label_teaches_and_nowhere_else(model: SemanticRay) -> None:
    others = [replace(frame, labels=None) for frame in frames(3, 0.5)]
    kept = remembered(model, others, {0, 1})
    assert kept and set(kept) <= {0, 1, 2}
    for position, frame in kept.items():
        assert set(frame.labels.unique().tolist()) == {2, VOID}
        true = PLANE.frame((0.5 + 0.1 * position, 0.0, 0.0)).labels
        assert (true[frame.labels == 2] == 2).float().mean() > 0.6, "the model knows the stripes"
        assert frame.camera is others[position].camera
    assert remembered(model, others, {0, 1, 2}) == {}, "labels show all it knows"


def test_what_is_remembered_is_not_forgotten(model: SemanticRay) -> None:
    """Taught that everything is class 0 or 1, where class 2 is void: it goes on seeing class 2 only if held to it."""
    teaching = [only(frame, 0, 1) for frame in frames(4)]
    crossed = [replace(frame, labels=torch.where(frame.labels == 0, 1, frame.labels)) for frame in teaching]
    kept = list(remembered(model, frames(4, 0.5), {0, 1}).values())
    assert share(model, frames(1, 0.3)[0], 2) > 0.8
    config = FineTuneConfig(steps=60, picture_steps=60, pixels=256)
    left = {}
    for name, held in (("held", kept), ("not held", [])):
        tuner = FineTuner(model, crossed, config=config, remembered=held)
        list(tuner.run())
        left[name] = share(tuner.result().model, frames(1, 0.3)[0], 2)
    assert left["held"] > 0.8 and left["held"] > left["not held"] + 0.2, left


def test_one_in_four_is_remembered_and_no_frame_is_its_own_source(
    model: SemanticRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught, kept = frames(5), list(remembered(model, frames(5, 0.55), {0}).values())
    tuner = FineTuner(model, taught, config=FineTuneConfig(steps=40, picture_steps=0, rays=8), remembered=kept)
    targets = []
    sources_of = tuner._sources_of
    monkeypatch.setattr(tuner, "_sources_of", lambda target: targets.append(target) or sources_of(target))
    list(tuner.run())
    assert sum(target >= 5 for target in targets) == 10 and len(targets) == 40
    assert all(target not in sources_of(target) for target in set(targets))


def test_answers_are_read_at_the_angular_resolution_that_the_encoder_was_trained_for() -> None:
    """Twice the picture's own: the kept answers are those that the model gives of the picture, wherever it is sure."""
    torch.manual_seed(0)
    model = SemanticRay(
        SemanticRayConfig(3, reading_focal=2 * float(PLANE.frame((0.0, 0.0, 0.0)).camera.intrinsics[0, 0]))
    )
    tuner = FineTuner(model, frames(4), config=FineTuneConfig(steps=40, picture_steps=40, pixels=256))
    list(tuner.run())
    taught = tuner.result().model
    frame = replace(frames(1)[0], labels=None)
    kept = remembered(taught, [frame], {0})[0].labels
    with torch.no_grad():
        image = frame.image.permute(2, 0, 1).unsqueeze(0).float() / 255
        features = taught.picture_features(image, frame.camera)
        scale = taught.reading_scale(features, frame.camera)
        answers = pixel_logits(taught, features, frame.camera.pixel_grid().unsqueeze(0), scale)[0].softmax(-1)
    confidence, expected = answers.max(-1)
    sure = ((confidence >= 0.5) & (expected != 0)).reshape(kept.shape)
    assert sure.float().mean() > 0.2
    assert torch.equal(kept != VOID, sure) and torch.equal(kept[sure].long(), expected.reshape(kept.shape)[sure])
