"""Which keyframes teach and which judge, what is better, and what the new checkpoint says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import PlaneScene

from sray.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from sray.errors import ModelError, SrayError, TooFewViewsError
from sray.field import SemanticField
from sray.finetune import FineTuneResult
from sray.frames import Frame
from sray.held_out import Score
from sray.label_space import LabelSpace
from sray.mapping.adaptation import Adaptation, AdaptationConfig, Outcome, check_keyframes, shrunk
from sray.mapping.session import Session
from sray.mapping.voxel_map import VoxelMap
from sray.model import SemanticRay, SemanticRayConfig
from sray.own_labels import own_labels

STRIPES = LabelSpace("stripes", ("a", "b", "c"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 3))
BOUNDS = (0.5, 4.0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "parent.safetensors"
    save_checkpoint(path, SemanticRay(SemanticRayConfig(3)), STRIPES, {"seeds": "0:8", "terms": "research use"})
    return load_checkpoint(path)


def session(frames: list[Frame], space: LabelSpace = STRIPES) -> Session:
    numbered = tuple((10 + number, frame) for number, frame in enumerate(frames))
    return Session("parent", space, numbered, 99, VoxelMap(space.classes).state())


def ring(count: int, labeled: set[int] | None = None) -> list[Frame]:
    """The frames in `labeled` (None: all) have labels."""
    frames = PlaneScene().ring(count)
    return [
        frame if labeled is None or number in labeled else replace(frame, labels=None)
        for number, frame in enumerate(frames)
    ]


def kind_of(*arguments: object, **more: object) -> type[SrayError]:
    with pytest.raises(SrayError) as caught:
        Adaptation(*arguments, bounds=BOUNDS, **more)  # type: ignore[arg-type]
    return type(caught.value)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(4, (12,)), (9, (12, 16)), (24, (13, 19, 25, 31)), (40, (15, 25, 35, 45))],
)
def test_a_sixth_is_held_out_four_at_most_spread_evenly(
    checkpoint: Checkpoint, count: int, expected: tuple[int, ...]
) -> None:
    adaptation = Adaptation(checkpoint, session(ring(count)), AdaptationConfig(), bounds=BOUNDS)
    assert adaptation.held_out == expected
    assert sorted((*adaptation.held_out, *adaptation.taught_by)) == list(range(10, 10 + count))


def test_where_labels_teach_only_labeled_keyframes_judge(checkpoint: Checkpoint) -> None:
    adaptation = Adaptation(checkpoint, session(ring(12, labeled={0, 1, 2})), AdaptationConfig(), bounds=BOUNDS)
    assert adaptation.learns_labels
    assert adaptation.held_out == (11,)
    assert len(adaptation.taught_by) == 11, "the others teach their colors"


@pytest.mark.parametrize(
    ("labeled", "supervision", "expected"),
    [({0, 1}, "auto", True), ({0}, "auto", False), (set(), "auto", False), ({0, 1, 2, 3}, "color", False)],
)
def test_labels_teach_where_there_are_any_unless_told_otherwise(
    checkpoint: Checkpoint, labeled: set[int], supervision: str, expected: bool
) -> None:
    config = AdaptationConfig(supervision=supervision)  # type: ignore[arg-type]
    adaptation = Adaptation(checkpoint, session(ring(5, labeled)), config, bounds=BOUNDS)
    assert adaptation.learns_labels is expected
    assert (adaptation.tuner.config.loss.semantic > 0) is expected


def test_void_labels_are_none(checkpoint: Checkpoint) -> None:
    void = [replace(frame, labels=torch.full_like(frame.image[..., 0], 255)) for frame in ring(5)]
    assert not Adaptation(checkpoint, session(void), AdaptationConfig(), bounds=BOUNDS).learns_labels


def test_too_few_keyframes_or_labels_are_refused(checkpoint: Checkpoint) -> None:
    assert kind_of(checkpoint, session(ring(3)), AdaptationConfig()) is TooFewViewsError
    check_keyframes(ring(4), AdaptationConfig(supervision="labels"))
    with pytest.raises(SrayError, match="1 of 5 keyframes have labels; expected at least 2"):
        check_keyframes(ring(5, {3}), AdaptationConfig(supervision="labels"))


def test_another_label_space_is_refused(checkpoint: Checkpoint) -> None:
    other = replace(STRIPES, name="fruit")
    assert kind_of(checkpoint, session(ring(5), other), AdaptationConfig()) is ModelError


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"time_limit": float("nan")}, "time_limit is nan"),
        ({"time_limit": 0.0}, "time_limit is 0"),
        ({"min_gain": -0.1}, "min_gain is -0.1"),
        ({"min_psnr_gain": float("nan")}, "min_psnr_gain is nan"),
        ({"width": -1}, "width is -1"),
    ],
)
def test_a_config_that_means_nothing_is_refused_by_name(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AdaptationConfig(**wrong)  # type: ignore[arg-type]


def test_larger_pictures_are_learned_from_at_the_width() -> None:
    whole = session(ring(3))
    for width, expected in ((24, (18, 24, 3)), (48, (36, 48, 3)), (99, (36, 48, 3)), (0, (36, 48, 3))):
        small = shrunk(whole, width)
        assert {frame.image.shape for _, frame in small.keyframes} == {expected}
        assert {frame.labels.shape for _, frame in small.keyframes} == {expected[:2]}
        assert [number for number, _ in small.keyframes] == [10, 11, 12]


def test_without_labels_the_encoder_stays_as_it_is() -> None:
    """Labels are read off its features: nothing that is scored would tell that it has forgotten them."""
    config = AdaptationConfig(mode="full")
    assert config.tuning(learns_labels=True).mode == "full"
    assert config.tuning(learns_labels=False).mode == "heads"
    assert config.tuning(learns_labels=False).loss.semantic == 0


def outcome(checkpoint: Checkpoint, **changes: object) -> Outcome:
    result = FineTuneResult(
        checkpoint.model, Score(0.5, 20.0), Score(0.6, 20.5), best_step=40, steps=60, seconds=1.0, curve=()
    )
    settings = {name: changes.pop(name) for name in ("min_gain", "min_psnr_gain") if name in changes}
    learns_labels = bool(changes.pop("learns_labels", True))
    result = replace(result, **changes)
    config = AdaptationConfig(**settings)  # type: ignore[arg-type]
    return Outcome(config, checkpoint, result, learns_labels, (1, 2, 4), (3,), (7, 8, 9, 10))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"min_gain": 0.0999}, True),
        ({"min_gain": 0.1001}, False),
        ({"best_step": 0, "after": Score(0.5, 20.0), "min_gain": 0.0}, False),
        ({"learns_labels": False, "min_psnr_gain": 0.4}, True),
        ({"learns_labels": False, "min_psnr_gain": 0.6, "min_gain": 0.0}, False),
        ({"min_psnr_gain": 9.0}, True),
        ({"after": Score(0.4, 30.0)}, False),
        ({"after": Score(float("nan"), 30.0)}, False),
        ({"after": None}, False),
    ],
)
def test_only_a_gain_that_was_asked_for_is_better(
    checkpoint: Checkpoint, changes: dict[str, object], expected: bool
) -> None:
    assert outcome(checkpoint, **changes).is_better is expected


def test_the_new_checkpoint_names_its_parent_and_the_same_job_gives_the_same_file(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    first = outcome(checkpoint).save(tmp_path / "a.safetensors")
    assert outcome(checkpoint, seconds=99.0).save(tmp_path / "b.safetensors") == first
    saved = load_checkpoint(tmp_path / "a.safetensors")
    lineage = saved.lineage
    assert lineage["parent"] == checkpoint.sha256
    assert lineage["parent_lineage"] == checkpoint.lineage
    assert saved.terms == "research use", "what the parent's data asks, the child asks too"
    assert lineage["data"] == {"keyframes": [1, 2, 4], "held_out": [3], "stamps_ns": [7, 8, 9, 10]}
    assert (lineage["steps"], lineage["steps_tried"], lineage["supervision"]) == (40, 60, "labels")
    assert lineage["before"] == {"strict_miou": 0.5, "psnr": 20.0}
    assert lineage["after"] == {"strict_miou": 0.6, "psnr": 20.5}


def test_what_labels_leave_open_teaches_and_judges_as_the_model_sees_it(checkpoint: Checkpoint) -> None:
    """Frame 1 is labeled in half, frame 2 hardly unlabeled, frame 3 not at all."""
    frames = ring(6)
    half, nearly = frames[1].labels.clone(), frames[2].labels.clone()
    half[:, 24:], nearly[0, :20] = 255, 255
    frames[1:4] = [replace(frames[1], labels=half), replace(frames[2], labels=nearly), replace(frames[3], labels=None)]
    taken: dict[bool, list[Frame]] = {}
    for keep_own in (True, False):
        adaptation = Adaptation(checkpoint, session(frames), AdaptationConfig(keep_own=keep_own), bounds=BOUNDS)
        held_out = adaptation.held_out
        by_number = dict(zip(adaptation.taught_by, adaptation.tuner._frames, strict=True))
        by_number |= dict(zip(held_out, adaptation.tuner._held_out._frames, strict=True))
        taken[keep_own] = [by_number[10 + index] for index in range(6)]
    own = own_labels(SemanticField(checkpoint.model), frames, [1], BOUNDS)[1]
    assert torch.equal(taken[True][1].labels, torch.where(half == 255, own, half))
    assert torch.equal(taken[False][1].labels, half)
    for labels in (taken[True], taken[False]):
        assert torch.equal(labels[2].labels, nearly) and labels[3].labels is None
    assert len(held_out) == 1
