"""Fine-tuning of one recorded scene, offline: the paper's split, scores before and after on frames kept for that alone.

Fine-tuning itself is `sray.finetune`; here test frames are rendered and scored beside it, and reach nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from sray.checkpoint import Checkpoint, inherited_terms
from sray.errors import FileError
from sray.field import SemanticField
from sray.finetune import FineTuner, FineTuneResult, FineTuneStep
from sray.finetune_config import FineTuneConfig
from sray.frames import Frame
from sray.label_space import VOID
from sray.ray_model import RayModel
from sray.remembered import remembered, taught_classes
from sray.render_config import RenderConfig
from sray.view_selection import evenly_spread
from sray_train.data.scene import Scene
from sray_train.data.view_split import ViewSplit
from sray_train.learn.finetune.relabeled import relabeled, with_own_labels
from sray_train.score.evaluate import Query, elsewhere_queries, evaluate, split_queries
from sray_train.score.scores import Evaluation

CURVE_SCORES = ("strict_miou", "released_miou", "total_accuracy", "average_accuracy", "psnr", "ssim")
"""What Table 17 follows over the steps."""


@dataclass(frozen=True)
class TuningPlan:
    """How every scene is tuned and scored."""

    config: FineTuneConfig = field(default_factory=FineTuneConfig)
    hold_out: int = 0
    """Of the tuning frames so many do not teach: the weights that suit them best are kept. 0: the last weights are."""
    depth: bool = False
    """RGB-D: depth teaches, and the sources' guides the rendering of test frames."""
    teach_depth: bool = False
    """Depth teaches, and test frames are rendered from RGB alone. Without either, no depth is looked at."""
    keep_own: bool = False
    """Pixels without a label teach what the model said of them before: for labels that leave much open."""
    quality: str = "balanced"
    """Of the rendered test frames: RenderConfig.preset."""
    score_every: int = 50
    """Steps between two renderings of the test frames, for the curve; 0: before and after alone."""

    def without_labels(self) -> TuningPlan:
        """The same, the pictures alone teaching. Raises ValueError if nothing teaches then."""
        return replace(self, config=replace(self.config, loss=replace(self.config.loss, semantic=0.0)))

    @property
    def input(self) -> str:
        """What test frames are rendered from, and what taught beside it."""
        return "RGB-D" if self.depth else "RGB, depth teaches" if self.teach_depth else "RGB"


@dataclass(frozen=True)
class TunedScene:
    """What came of it."""

    scene: Scene
    split: ViewSplit
    result: FineTuneResult
    before: Evaluation
    after: Evaluation
    curve: list[dict[str, Any]]
    """A row for each rendering of the test frames: step, kind, seconds and processor_seconds (of all threads), both
    without renderings, losses, CURVE_SCORES."""
    stopped: bool
    """Canceled before its last step."""
    elsewhere: tuple[Evaluation, Evaluation] | None = None
    """Before and after, of the split's frames elsewhere; None without any."""

    def record(self) -> dict[str, Any]:
        """The content of a JSON record."""
        names = {
            part: [self.scene.frames[index].name for index in frames] for part, frames in asdict(self.split).items()
        }
        return {
            "scene": self.scene.name,
            "frames": names,
            "before": self.before.record(),
            "after": self.after.record(),
            "before_elsewhere": self.elsewhere[0].record() if self.elsewhere else None,
            "after_elsewhere": self.elsewhere[1].record() if self.elsewhere else None,
            "seconds": self.result.seconds,
            "steps": self.result.steps,
            "best_step": self.result.best_step,
            "stopped": self.stopped,
            "curve": self.curve,
        }


def tune_scene(
    checkpoint: Checkpoint,
    scene: Scene,
    split: ViewSplit,
    plan: TuningPlan,
    *,
    on_step: Callable[[FineTuneStep, dict[str, Any] | None], None] | None = None,
    canceled: Callable[[], bool] | None = None,
) -> TunedScene:
    """Tune a copy of the checkpoint's model on a scene, and score it before and after.

    `on_step` gets each step and, where the test frames were rendered, the new row of the curve; `canceled` is asked
    after each step. Raises FileError if labels should teach and no frame to learn from has any.
    """
    scored = scene if checkpoint.model.knows_classes else _unlabeled(scene, split.scored)
    queries = split_queries(scored, split)

    def score(model: RayModel, asked: list[Query] = queries) -> Evaluation:
        field = SemanticField(model, RenderConfig.preset(plan.quality))
        return evaluate(field, asked, checkpoint.label_space, depth=plan.depth)

    teaching = scene
    if plan.keep_own and plan.config.loss.semantic > 0:
        _check_labeled(scene, [scene.frames[index] for index in (*split.sources, *split.tuning)])
        field = SemanticField(checkpoint.model, RenderConfig.preset(plan.quality))
        teaching = with_own_labels(field, scene, (*split.sources, *split.tuning))
    tuner = make_tuner(checkpoint.model, teaching, split, plan)
    before = score(checkpoint.model)
    away = elsewhere_queries(scored, split)
    before_elsewhere = score(checkpoint.model, away) if away else None
    curve: list[dict[str, Any]] = []
    stopped, processor = False, 0.0
    while not tuner.finished:
        began = time.process_time()
        step = tuner.advance()
        processor += time.process_time() - began
        row: dict[str, Any] | None = None
        if step.number == 0 or (plan.score_every and step.number % plan.score_every == 0) or tuner.finished:
            scores = (score(tuner.model) if step.number else before).record()
            row = {"step": step.number, "kind": step.kind, "seconds": step.seconds, "losses": step.losses}
            row["processor_seconds"] = processor
            row |= {name: scores[name] for name in CURVE_SCORES}
            row["held_out"] = None if step.held_out is None else asdict(step.held_out)
            curve.append(row)
        if on_step is not None:
            on_step(step, row)
        if stopped := not tuner.finished and canceled is not None and canceled():
            break
    result = tuner.result()
    elsewhere = (before_elsewhere, score(result.model, away)) if before_elsewhere else None
    return TunedScene(scene, split, result, before, score(result.model), curve, stopped, elsewhere)


def _unlabeled(scene: Scene, frames: tuple[int, ...]) -> Scene:
    size = scene.cameras.height, scene.cameras.width
    return relabeled(scene, {index: torch.full(size, VOID, dtype=torch.uint8) for index in frames})


def make_tuner(model: RayModel, scene: Scene, split: ViewSplit, plan: TuningPlan) -> FineTuner:
    """The tuner of a split's sources and tuning frames; no other frame of the scene is taken.

    Raises FileError if labels should teach and none of those frames has any, ValueError if more frames are
    to be held out than there are.
    """
    if not 0 <= plan.hold_out <= len(split.tuning):
        raise ValueError(f"{plan.hold_out} of {len(split.tuning)} tuning frames are to be held out; expected 0 to all")
    spread = evenly_spread(plan.hold_out, len(split.tuning))
    held_out = [frame for position, frame in enumerate(split.tuning) if position in spread]
    tuning = [frame for frame in split.tuning if frame not in held_out]

    def frames(numbers: tuple[int, ...] | list[int]) -> list[Frame]:
        taken = [scene.frames[number] for number in numbers]
        return taken if plan.depth or plan.teach_depth else [replace(frame, depth=None) for frame in taken]

    teachers = frames([*split.sources, *tuning])
    if plan.config.loss.semantic > 0:
        _check_labeled(scene, teachers)
    sources = teachers[: len(split.sources)]
    kept: list[Frame] = []
    if plan.config.loss.semantic > 0 and plan.config.mode == "full" and split.remembered:
        taught = taught_classes(teachers, model.config.classes)
        kept = list(remembered(model, frames(split.remembered), taught).values())
    return FineTuner(
        model,
        sources,
        teachers[len(sources) :],
        frames(held_out),
        plan.config,
        remembered=kept,
        bounds=scene.bounds,
    )


def _check_labeled(scene: Scene, teachers: list[Frame]) -> None:
    if not any(frame.labels is not None and bool((frame.labels != VOID).any()) for frame in teachers):
        raise FileError(
            f"{scene.name}: none of the {len(teachers)} frames to learn from has labels",
            "label-filt/N.png for some",
            "Label them, or let the pictures alone teach with --color-only",
        )


def tuning_record(
    tuned: list[TunedScene], checkpoint: Checkpoint, plan: TuningPlan, setting: str = "finetuned"
) -> dict[str, Any]:
    """The content of a JSON record of several scenes: scores of all their test frames together, and of each scene."""
    space = checkpoint.label_space
    camera = tuned[0].scene.cameras
    return {
        "system": checkpoint.model.system,
        "setting": setting,
        "before": Evaluation(space, tuple(one for scene in tuned for one in scene.before.scenes)).record(),
        "after": Evaluation(space, tuple(one for scene in tuned for one in scene.after.scenes)).record(),
        "seconds": sum(scene.result.seconds for scene in tuned),
        "steps": sum(scene.result.steps for scene in tuned),
        "curve": tuned[0].curve if len(tuned) == 1 else None,
        "scenes": [scene.record() for scene in tuned],
        "input": plan.input,
        "size": [camera.width, camera.height],
        "plan": asdict(plan),
        "label_space": space.name,
        "checkpoint": checkpoint.sha256 or None,
    }


def tuned_lineage(tuned: TunedScene, checkpoint: Checkpoint, plan: TuningPlan) -> dict[str, Any]:
    """What the tuned checkpoint says of itself: whose child it is, what it learned from, and what that did."""
    record = tuned.record()
    scores = {
        when: {name: record[when][name] for name in CURVE_SCORES} | {"on": "the test frames"}
        for when in ("before", "after")
    }
    return {
        "parent": checkpoint.sha256 or None,
        "parent_lineage": checkpoint.lineage,
        "data": {"scene": tuned.scene.name, "input": plan.input, **record["frames"]},
        "steps": tuned.result.best_step,
        "steps_tried": tuned.result.steps,
        "seed": plan.config.seed,
        "seconds": tuned.result.seconds,
        "plan": asdict(plan),
        **inherited_terms(checkpoint.terms),
    } | scores
