"""A fine-tuned model on trial in the node: it takes over only if it looks no worse than the old one there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import PlaneScene
from rig.mapper import checkpoint

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.errors import NoMemoryError, SrayError
from sray.field import RenderedView
from sray.frames import Frame
from sray.mapping.adaptation import AdaptationConfig
from sray.mapping.session import Session
from sray.mapping.voxel_map import VoxelMap
from sray_ros.finetune.process import Handover
from sray_ros.finetune.trial import ModelTrial

FRAMES = PlaneScene().ring(5)


class Worker:
    """What a trial asks of the worker: `looks` says how right its next views are; None: it cannot be rendered."""

    def __init__(self, model: Checkpoint, looks: list[float | Exception | None]) -> None:
        self.checkpoint, self.looks = model, looks
        self.mapper = SimpleNamespace(keyframes=[SimpleNamespace(frame=frame) for frame in FRAMES])

    def change_model(
        self, model: Checkpoint, file: str, canceled: Callable[[], bool], accept: Callable[[], bool]
    ) -> bool:
        if accept():
            self.checkpoint = model
        return self.checkpoint is model

    def rehearse(self, frame: Frame, canceled: Callable[[], bool]) -> RenderedView | None:
        look = self.looks.pop(0)
        if isinstance(look, Exception):
            raise look
        if look is None:
            return None
        assert frame.labels is not None
        labels = frame.labels.clone()
        labels[: round((1 - look) * len(labels))] = 255
        return replace(RenderedView.blank(frame.camera), labels=labels, common_color=frame.image.float() / 255)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Checkpoint]:
    folder = tmp_path_factory.mktemp("models")
    return (
        load_checkpoint(checkpoint(folder / "old.safetensors")),
        load_checkpoint(checkpoint(folder / "new.safetensors", seed=1)),
    )


def trial(old: Checkpoint, new: Checkpoint, judges: int) -> ModelTrial:
    numbered = tuple(enumerate(FRAMES))
    session = Session(old.id, old.label_space, numbered, 9, VoxelMap(old.label_space.classes).state())
    job = Handover(AdaptationConfig(), session, old, (0.5, 4.0), "cpu", 1, 0)
    return ModelTrial(job, new, "fine_tuned/new", range(judges), by_labels=True, is_stopped=lambda: False)


@pytest.mark.fault("the new model looks worse as the node renders it than as it was scored", code="none",
                   says="the goal's result: accepted is false, and both scores",
                   recovery="by itself: the old model stays")  # fmt: skip
@pytest.mark.parametrize(
    ("looks", "taken"),
    [
        ([0.5, 0.9], True),
        ([0.9, 0.5], False),
        ([0.7, 0.7], True),
        ([None, None], True),
        ([0.9, 0.5, None, 0.5], True),  # one judge looks as before, the other cannot be compared
        ([0.5, 0.9, 0.5, 0.8], False),
    ],
)
def test_a_model_that_looks_worse_here_does_not_take_over(
    models: tuple[Checkpoint, Checkpoint], looks: list[Any], taken: bool
) -> None:
    old, new = models
    worker = Worker(old, list(looks))
    complaint = trial(old, new, len(looks) // 2).run(worker)  # type: ignore[arg-type]
    assert worker.checkpoint is (new if taken else old)
    assert (complaint == "") is taken
    assert taken or "worse as the node itself renders" in complaint
    assert worker.looks == []


@pytest.mark.parametrize("failing", [0, 1], ids=["before", "after"])
def test_a_look_that_fails_leaves_the_old_model(models: tuple[Checkpoint, Checkpoint], failing: int) -> None:
    old, new = models
    looks: list[Any] = [0.9, 0.9]
    looks[failing] = NoMemoryError("none is left")
    worker = Worker(old, looks)
    with pytest.raises(SrayError, match="none is left"):
        trial(old, new, 1).run(worker)  # type: ignore[arg-type]
    assert worker.checkpoint is old
