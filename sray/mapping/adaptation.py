"""Adaptation: fine-tuning on what a mapper has gathered, with some keyframes held out to judge it by.

adaptation = Adaptation(checkpoint, session, AdaptationConfig(steps=200), bounds=(0.5, 8.0))
for step in adaptation.tuner.run():
    ...  # break to take the best so far
outcome = adaptation.outcome()
if outcome.is_better:
    outcome.save(path)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from sray.checkpoint import Checkpoint, inherited_terms, save_checkpoint
from sray.errors import TooFewViewsError
from sray.field import SemanticField
from sray.finetune import FineTuner, FineTuneResult
from sray.finetune_config import FineTuneConfig, Mode
from sray.frames import Frame
from sray.label_space import VOID
from sray.learning.losses import LossWeights
from sray.mapping.session import Session
from sray.model import SemanticRay
from sray.own_labels import filled, own_labels
from sray.remembered import remembered, taught_classes
from sray.sampling import Bounds
from sray.view_selection import evenly_spread

Supervision = Literal["auto", "labels", "color"]

LEAST_KEYFRAMES = 4
"""Three that see a place together, and one to judge by."""
HELD_OUT_SHARE, MOST_HELD_OUT = 1 / 6, 4
"""Each held-out keyframe is one that does not teach, and rendering it takes as long as several steps."""


LEAST_OPEN = 0.02
"""Share of a picture's pixels without a label that is worth a render."""


@dataclass(frozen=True)
class AdaptationConfig:
    """What is asked for. The interfaces FineTune have the same defaults, which a test compares."""

    steps: int = FineTuneConfig.steps
    time_limit: float = 600.0
    """Seconds of learning; the best so far is taken then."""
    min_gain: float = 0.01
    """By how much the held-out keyframes' strict mIoU must be better, where labels teach."""
    min_psnr_gain: float = 0.3
    """By how much their PSNR must be, dB, where the pictures alone teach."""
    mode: Mode = FineTuneConfig.mode
    supervision: Supervision = "auto"
    """`auto`: labels where any keyframe has some, else the pictures alone."""
    keep_own: bool = True
    """What labels do not show is held to what the model says now: pixels without a label in pictures with some, and,
    in keyframes without any, the classes that no label shows (`sray.remembered`)."""
    seed: int = 0
    width: int = 320
    """Larger pictures are learned from at this many columns (`shrunk`); 0: as they are. Time grows with its square."""

    def __post_init__(self) -> None:
        if self.supervision not in get_args(Supervision):
            known = ", ".join(get_args(Supervision))
            raise ValueError(f"supervision is {self.supervision!r}; expected one of {known}")
        for name in ("min_gain", "min_psnr_gain"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 0")
        if not 0 < self.time_limit < math.inf:
            raise ValueError(f"time_limit is {self.time_limit}; expected more than 0 seconds")
        if self.width < 0:
            raise ValueError(f"width is {self.width}; expected at least 0")
        self.tuning(learns_labels=True)  # raises ValueError for what is wrong with the rest

    def tuning(self, *, learns_labels: bool) -> FineTuneConfig:
        """How the tuner is to go about it."""
        loss, mode = LossWeights(), self.mode
        if not learns_labels:
            # Labels are read off the encoder's features: pulled towards colors alone, it forgets the classes, and
            # nothing that is scored would tell.
            loss, mode = replace(loss, semantic=0.0), "heads"
        return FineTuneConfig(mode=mode, steps=self.steps, seed=self.seed, max_seconds=self.time_limit, loss=loss)


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    config: AdaptationConfig
    parent: Checkpoint
    result: FineTuneResult
    learns_labels: bool
    taught_by: tuple[int, ...]
    """Numbers of the keyframes that taught."""
    held_out: tuple[int, ...]
    stamps_ns: tuple[int, ...]
    """When the pictures of all of them were taken, in the order of their numbers: numbers begin anew with each map."""

    @property
    def gain(self) -> float:
        """How much better the held-out keyframes score: strict mIoU where labels teach, else PSNR in dB."""
        before, after = self.result.before, self.result.after
        if before is None or after is None:
            return -math.inf
        if self.learns_labels and not (math.isnan(before.strict_miou) and math.isnan(after.strict_miou)):
            return after.strict_miou - before.strict_miou  # NaN, which is no gain, where one of them has no labels
        return after.psnr - before.psnr

    @property
    def is_better(self) -> bool:
        """Whether the new weights should take over. Never those of step 0, however small the gain asked for."""
        least = self.config.min_gain if self.learns_labels else self.config.min_psnr_gain
        return self.result.best_step > 0 and self.gain >= least

    def save(self, path: Path) -> str:
        """Write the tuned checkpoint, which names its parent; returns its sha256. The same job gives the same file.

        Raises as `save_checkpoint`.
        """
        scores = {"before": self.result.before, "after": self.result.after}
        lineage: dict[str, Any] = {
            "parent": self.parent.sha256,
            "parent_lineage": self.parent.lineage,
            "data": {
                "keyframes": list(self.taught_by),
                "held_out": list(self.held_out),
                "stamps_ns": list(self.stamps_ns),
            },
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "supervision": "labels" if self.learns_labels else "color",
            "steps": self.result.best_step,
            "steps_tried": self.result.steps,
            "config": asdict(self.config),
            **inherited_terms(self.parent.terms),
            **{when: None if score is None else score.record() for when, score in scores.items()},
        }
        return save_checkpoint(path, self.result.model, self.parent.label_space, lineage)


class Adaptation:
    """One job: a tuner, and what is needed to judge what it does."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        session: Session,
        config: AdaptationConfig,
        *,
        bounds: Bounds,
        on_progress: Callable[[float], None] = lambda fraction: None,
    ) -> None:
        """`bounds`: near and far of the scene, meters. `on_progress`: of what is to be done before the first step.

        Raises TooFewViewsError for fewer than LEAST_KEYFRAMES keyframes, or fewer than two with labels where
        these should teach; ModelError for another label space.
        """
        check_keyframes([frame for _, frame in session.keyframes], config)
        session.check_label_space(checkpoint.label_space)
        self.config = config
        self.checkpoint = checkpoint
        self.learns_labels = learns_labels([frame for _, frame in session.keyframes], config)
        judges = _spread([number for number, frame in session.keyframes if not self.learns_labels or is_labeled(frame)])
        frames = dict(session.keyframes)
        self._stamps_ns = tuple(frame.stamp_ns for _, frame in sorted(session.keyframes, key=lambda pair: pair[0]))
        kept: dict[int, Frame] = {}
        if self.learns_labels and config.keep_own:
            frames = _completed(frames, checkpoint.model, bounds, on_progress)
            labeled = [frame for number, frame in frames.items() if is_labeled(frame) and number not in judges]
            unlabeled = [number for number, frame in frames.items() if not is_labeled(frame)]
            if config.mode == "full":
                taught = taught_classes(labeled, checkpoint.model.config.classes)
                found = remembered(checkpoint.model, [frames[number] for number in unlabeled], taught)
                kept = {unlabeled[position]: frame for position, frame in found.items()}
        self.held_out = tuple(judges)
        self.taught_by = tuple(number for number in frames if number not in judges)
        self.tuner = FineTuner(
            checkpoint.model,
            [frames[number] for number in self.taught_by if number not in kept],
            held_out=[frames[number] for number in self.held_out],
            config=config.tuning(learns_labels=self.learns_labels),
            remembered=list(kept.values()),
            bounds=bounds,
        )

    def outcome(self) -> Outcome:
        """Of the steps so far."""
        result = self.tuner.result()
        return Outcome(
            self.config, self.checkpoint, result, self.learns_labels, self.taught_by, self.held_out, self._stamps_ns
        )


def check_keyframes(frames: Sequence[Frame], config: AdaptationConfig) -> None:
    """Raises TooFewViewsError if there are too few of them, or of labeled ones where labels should teach."""
    if len(frames) < LEAST_KEYFRAMES:
        raise TooFewViewsError(
            f"there are {len(frames)} keyframes to learn from",
            f"{LEAST_KEYFRAMES}, one of them held out",
            "Move the camera around the place first",
        )
    labeled = sum(is_labeled(frame) for frame in frames)
    if config.supervision == "labels" and labeled < 2:
        raise TooFewViewsError(
            f"{labeled} of {len(frames)} keyframes have labels",
            "at least 2, one to teach, one to judge by",
            "Publish labels of the camera's pictures (topic labels), or let these alone teach: supervision color",
        )


def learns_labels(frames: Sequence[Frame], config: AdaptationConfig) -> bool:
    """Whether labels teach, or the pictures alone."""
    return config.supervision != "color" and sum(is_labeled(frame) for frame in frames) >= 2


def is_labeled(frame: Frame) -> bool:
    return frame.labels is not None and bool((frame.labels != VOID).any())


def _spread(numbers: list[int]) -> list[int]:
    """Which of the keyframes that could judge do so: evenly over the time they were taken in."""
    count = min(MOST_HELD_OUT, max(1, round(HELD_OUT_SHARE * len(numbers))))
    return [numbers[position] for position in evenly_spread(count, len(numbers))]


def shrunk(session: Session, width: int) -> Session:
    """Its pictures with no more columns than `width` (0: as they are), without what stereo found of them."""

    def shrink(frame: Frame) -> Frame:
        camera = frame.camera
        if not 0 < width < camera.width:
            return frame
        return frame.resized(width, max(1, round(camera.height * width / camera.width)))

    frames = tuple((number, shrink(frame)) for number, frame in session.keyframes)
    return replace(session, keyframes=frames, stereo={}, stereo_network="")


def _completed(
    frames: dict[int, Frame], model: SemanticRay, bounds: Bounds, on_progress: Callable[[float], None]
) -> dict[int, Frame]:
    """Those with labels that leave much open: with the model's own there. The held-out ones too, or forgetting would
    look like a gain."""
    taken = list(frames.values())
    open_ones = [
        index
        for index, frame in enumerate(taken)
        if frame.labels is not None and is_labeled(frame) and (frame.labels == VOID).float().mean() > LEAST_OPEN
    ]
    own = own_labels(SemanticField(model), taken, open_ones, bounds, on_progress)
    return {
        number: filled(frame, own[index]) if index in own else frame
        for index, (number, frame) in enumerate(frames.items())
    }
