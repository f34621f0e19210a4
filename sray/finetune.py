"""Few-step adaptation of a model to one scene, from labeled (or merely colored) frames of it.

    tuner = FineTuner(model, sources, tuning, held_out, FineTuneConfig(steps=200))
    for step in tuner.run():
        ...  # show the step; break to cancel
    result = tuner.result()  # the best weights so far; `model` itself is as it was

First the encoder learns what the pixels of single pictures are: cheap, and most of the gain. Then rays teach the whole
model, and the source pictures, which are encoded anyway, go on teaching the encoder. In mode `heads` the encoder stays
as it is, every frame is encoded once, and rays alone teach the rest.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

from sray.camera import Camera
from sray.context import EncodedViews
from sray.field import MIN_OPACITY
from sray.finetune_config import FineTuneConfig
from sray.frames import Frame, SourceViews
from sray.half_precision import half_precision
from sray.held_out import HeldOut, Score
from sray.learning.feature_cache import FeatureCache
from sray.learning.losses import total_loss
from sray.learning.optimization import (
    Optimization,
    Schedule,
    encoder_parameters,
    head_parameters,
    hold_first_layers,
    picture_parameters,
)
from sray.learning.supervision import LabeledPixels, balanced_weights, check_teaching_frames, picture_loss, target_rays
from sray.ray_model import RayModel
from sray.rays import SampleCounts
from sray.sampling import ROOM_BOUNDS, Bounds
from sray.view_selection import select_views

REMEMBERED_EVERY = 4  # of so many pictures, or targets, one is of the remembered frames
RAYS_TO_PICTURES = 6.0
"""How much longer a step on rays takes than one on pictures: a guess for the time left, until one has been timed."""

Kind = Literal["start", "pictures", "rays"]
M = TypeVar("M", bound=RayModel)


@dataclass(frozen=True)
class FineTuneStep:
    """Where fine-tuning stands."""

    number: int
    """Steps done; 0 is the model as it came."""
    steps: int
    """Steps in all."""
    kind: Kind
    """What taught: single pictures, or rays."""
    losses: dict[str, float]
    """This step's terms, unweighted: pictures, semantic, color, depth. Empty at the start."""
    held_out: Score | None
    """How the held-out frames look now; None where they were not rendered."""
    seconds: float
    """Spent so far, scoring included; what the caller does between steps is not."""
    seconds_left: float


@dataclass(frozen=True)
class FineTuneResult(Generic[M]):
    """What fine-tuning came to."""

    model: M
    """In eval mode, where the original is. The weights that were best on the held-out frames; without any, the last."""
    before: Score | None
    """Of the held-out frames; None without any."""
    after: Score | None
    """Of the same, with `model`."""
    best_step: int
    """Where `model` was taken from; 0: nothing was better than the original."""
    steps: int
    """Done: fewer than asked for if it was canceled or the time was up."""
    seconds: float
    curve: tuple[FineTuneStep, ...]


@dataclass(frozen=True)
class _Best:
    step: int
    score: Score
    weights: dict[str, Tensor]


class FineTuner(Generic[M]):
    """Adapts a copy of a model, where the model is. The same seed gives the same steps. Not thread safe."""

    def __init__(
        self,
        model: M,
        sources: Sequence[Frame],
        tuning: Sequence[Frame] = (),
        held_out: Sequence[Frame] = (),
        config: FineTuneConfig | None = None,
        *,
        remembered: Sequence[Frame] = (),
        bounds: Bounds = ROOM_BOUNDS,
    ) -> None:
        """`sources` and `tuning` frames teach by the labels, color and depth they have, each rendered from its
        nearest others; `held_out` ones are rendered from `sources`, and only scored. `remembered` frames hold labels
        that must not be forgotten (`sray.remembered`): one picture of four, one target of four. `bounds`: of the scene.

        Raises TooFewViewsError for fewer than two frames, or if labels should teach and none does;
        ModelError for a label the model does not know. ValueError if sizes differ, or a held-out frame would teach.
        """
        self.config = config or FineTuneConfig()
        self._taught = len(sources) + len(tuning)
        self._frames = [*sources, *tuning, *remembered]
        check_teaching_frames(model, self._frames, held_out, semantic=self.config.loss.semantic > 0)
        self._cameras = Camera.stack([frame.camera for frame in self._frames])
        self._bounds = bounds
        self._held_out = HeldOut(held_out, sources, self.config.views, bounds) if held_out else None
        self._class_weights = None
        if self.config.loss.semantic > 0:
            self._class_weights = balanced_weights(self._frames, model.config.classes, self.config.balance)
        self.model = copy.deepcopy(model).requires_grad_(True)
        if not self.config.first_layers:
            hold_first_layers(self.model.encoder)
        self._device = next(self.model.parameters()).device
        self._generator = torch.Generator().manual_seed(self.config.seed)
        self._optimization: Optimization | None = None
        self._features = FeatureCache(self.model)
        self._best: _Best | None = None
        self._pace: dict[Kind, float] = {}
        """Seconds a step of each kind takes."""
        self.curve: list[FineTuneStep] = []

    @property
    def picture_steps(self) -> int:
        """How many of the first steps are on single pictures."""
        return min(self.config.picture_steps, self.config.steps) if self._pictures_teach else 0

    @property
    def _pictures_teach(self) -> bool:
        """Whether labels of single pictures have an encoder to teach."""
        config = self.config
        wanted = config.teach_pictures and config.mode == "full" and config.loss.semantic > 0
        return wanted and self.model.feature_channels > 0

    @property
    def seconds(self) -> float:
        """Spent so far."""
        return self.curve[-1].seconds if self.curve else 0.0

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the time is up."""
        return len(self.curve) > self.config.steps or self.seconds >= self.config.max_seconds

    def run(self) -> Iterator[FineTuneStep]:
        """One step after another, from where it stands; the first is the model as it came. Leave it to cancel."""
        while not self.finished:
            yield self.advance()

    def advance(self) -> FineTuneStep:
        """Do one step, and look at the held-out frames when it is time to. A step that diverges changes nothing."""
        began = time.perf_counter()
        number = len(self.curve)
        kind: Kind = "start" if number == 0 else "pictures" if number <= self.picture_steps else "rays"
        losses: dict[str, float] = {}
        if kind != "start":
            losses = self._learn(number, kind)
            took = time.perf_counter() - began
            self._pace[kind] = 0.9 * self._pace.get(kind, took) + 0.1 * took
        seconds = self.seconds + time.perf_counter() - began
        late = seconds >= self.config.max_seconds
        due = number % self.config.validate_every == 0 or number == self.config.steps or late
        score = self._held_out.score(self.model) if self._held_out and due else None
        if score is not None:  # else not read again: a step must not turn late unscored
            seconds = self.seconds + time.perf_counter() - began
        left = self._seconds_left(number, seconds)
        self.curve.append(FineTuneStep(number, self.config.steps, kind, losses, score, seconds, left))
        if score is not None and (self._best is None or self._worth(score) > self._worth(self._best.score)):
            self._best = _Best(number, score, {name: each.clone() for name, each in self.model.state_dict().items()})
        return self.curve[-1]

    def result(self) -> FineTuneResult[M]:
        """The best so far, at any time. Where there are held-out frames, weights they have not judged are not taken."""
        model = copy.deepcopy(self.model).requires_grad_(True).eval()
        taken = max(0, len(self.curve) - 1)
        if self._best is not None:
            model.load_state_dict(self._best.weights)
            taken = self._best.step
        return FineTuneResult(
            model,
            before=self.curve[0].held_out if self.curve else None,
            after=self._best.score if self._best else None,
            best_step=taken,
            steps=max(0, len(self.curve) - 1),
            seconds=self.seconds,
            curve=tuple(self.curve),
        )

    def _learn(self, number: int, kind: Kind) -> dict[str, float]:
        done = number - 1 - (0 if kind == "pictures" else self.picture_steps)
        if done == 0 or self._optimization is None:
            self._optimization = self._begin(kind)
        self.model.train()
        loss, terms = self._picture_loss() if kind == "pictures" else self._ray_loss()
        self._optimization.step(loss, done)
        return {name: float(term.detach()) for name, term in terms.items() if getattr(self.config.loss, name, 1) > 0}

    def _begin(self, kind: Kind) -> Optimization:
        """A fresh optimizer of what this kind of step trains."""
        config, model = self.config, self.model
        if kind == "pictures":
            steps = self.picture_steps
            groups = [{"params": picture_parameters(model), "lr": config.picture_learning_rate}]
        else:
            steps = config.steps - self.picture_steps
            groups = [{"params": head_parameters(model), "lr": config.heads_learning_rate}]
            if config.mode == "full":
                groups.append({"params": encoder_parameters(model), "lr": config.encoder_learning_rate})
        return Optimization(groups, Schedule(steps, config.final_rate, config.warm_up))

    def _picture_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 14 on pixels of single pictures, as the encoder and the classifier see them."""
        remembered = min(self.config.pictures // REMEMBERED_EVERY, len(self._frames) - self._taught)
        drawn = torch.randperm(self._taught, generator=self._generator)[: self.config.pictures - remembered].tolist()
        others = torch.randperm(len(self._frames) - self._taught, generator=self._generator)[:remembered]
        drawn += (self._taught + others).tolist()
        images = SourceViews.from_frames([self._frames[index] for index in drawn]).images.to(self._device)
        loss = self._loss_of_pictures(self._features_of(images), drawn)
        return loss, {"pictures": loss}

    def _loss_of_pictures(self, features: Tensor, frames: list[int]) -> Tensor:
        truth = LabeledPixels.draw([self._frames[index] for index in frames], self.config.pixels, self._generator)
        weights = None if self._class_weights is None else self._class_weights.to(self._device)
        return picture_loss(self.model, features, truth.to(self._device), self._frames[0].camera, weights)

    def _ray_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 15 and 16 on rays of one target from its nearest frames, and what those frames' own pixels teach."""
        config = self.config
        turn = len(self._frames) > self._taught and len(self.curve) % REMEMBERED_EVERY == 0
        first, last = (self._taught, len(self._frames)) if turn else (0, self._taught)
        target = int(torch.randint(first, last, (1,), generator=self._generator))
        frame, sources = self._frames[target], self._sources_of(target)
        pixels, truth = target_rays(frame, config.rays, self._generator, self._class_weights)
        views = self._encode(sources)
        rays = self.model.rays(frame.camera.to(self._device), pixels.to(self._device), self._bounds)
        outputs = self.model(
            views,
            rays,
            SampleCounts(config.coarse_samples, config.fine_samples),
            torch.Generator(self._device).manual_seed(int(torch.randint(0, 2**31, (1,), generator=self._generator))),
            coarse_semantics=False,
        )
        if config.divide_by_opacity:  # without, the PSNR of a trained model falls by 1 dB in 50 steps
            outputs = tuple(
                replace(output, color=output.color / output.opacity.clamp_min(MIN_OPACITY).unsqueeze(-1))
                for output in outputs
            )
        loss, terms = total_loss(outputs, truth.to(self._device), config.loss, rays.range)
        if self._pictures_teach:
            terms["pictures"] = self._loss_of_pictures(views.features, sources)
            loss = loss + config.loss.semantic * terms["pictures"]
        return loss, terms

    def _sources_of(self, target: int) -> list[int]:
        excluded = torch.zeros(len(self._frames), dtype=torch.bool)
        excluded[target] = True
        return select_views(self._cameras[target], self._cameras, self.config.views, excluded, bounds=self._bounds)

    def _encode(self, frames: list[int]) -> EncodedViews:
        views = SourceViews.from_frames([self._frames[index] for index in frames]).to(self._device)
        if self.config.mode == "full":
            return self.model.encode(views, self._features_of(views.images), self._bounds)
        return self._features.encode(frames, views, self._bounds)

    def _features_of(self, images: Tensor) -> Tensor:
        with half_precision(self._device):
            return self.model.picture_features(images, self._frames[0].camera).float()

    def _worth(self, score: Score) -> float:
        return score.worth(by_labels=self.config.loss.semantic > 0)

    def _seconds_left(self, number: int, seconds: float) -> float:
        """By what steps took of late; NaN before the first."""
        if not self._pace:
            return math.nan
        pictures = self._pace.get("pictures", 0.0)
        rays = self._pace.get("rays", RAYS_TO_PICTURES * pictures)
        begun = max(number, self.picture_steps)
        left = (begun - number) * pictures + (self.config.steps - begun) * rays
        return min(left, max(0.0, self.config.max_seconds - seconds))
