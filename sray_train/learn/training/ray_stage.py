"""Stages on rays: eq. 15 and 16 on random targets of random scenes, the encoder frozen or training along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.context import EncodedViews
from sray.frames import SourceViews
from sray.held_out import Score
from sray.learning.feature_cache import FeatureCache
from sray.learning.losses import LossWeights, RayTargets, total_loss
from sray.learning.optimization import encoder_parameters, head_parameters, hold_first_layers
from sray.learning.supervision import target_rays
from sray.metrics import ConfusionMatrix, psnr
from sray.ray_model import RayModel
from sray.rays import SampleCounts
from sray_train.data.scene import Scene
from sray_train.data.source_views import draw_views
from sray_train.data.worn_depth import worn
from sray_train.learn.config import RayStage
from sray_train.learn.pseudolabels.teaching import drawn

VALIDATION_RAYS = 1024
VALIDATION_TARGETS = 20
"""At least so many, over all scenes: of one scene a single target would say little."""


@dataclass(frozen=True)
class TargetRays:
    """Random rays of one target, the views they are rendered from, and their truth."""

    sources: SourceViews
    source_names: tuple[tuple[int, int], ...]
    """(scene, frame) of each source: what its features are remembered by."""
    camera: Camera
    """The target's."""
    pixels: Float[Tensor, "rays 2"]
    truth: RayTargets
    bounds: tuple[float, float]
    seed: int
    """Of the samples' jitter."""

    def to(self, device: torch.device) -> TargetRays:
        return replace(
            self,
            sources=self.sources.to(device),
            camera=self.camera.to(device),
            pixels=self.pixels.to(device),
            truth=self.truth.to(device),
        )


@dataclass(frozen=True)
class RayBatch:
    targets: tuple[TargetRays, ...]

    def to(self, device: torch.device) -> RayBatch:
        return RayBatch(tuple(target.to(device) for target in self.targets))


class RayTraining:
    """Random rays of random targets, rendered from random nearby sources, against the targets' pictures."""

    def __init__(
        self,
        name: str,
        config: RayStage,
        weights: LossWeights,
        model: RayModel,
        scenes: list[Scene],
        pseudolabeled: Sequence[Scene] = (),
    ) -> None:
        """`pseudolabeled` recordings teach beside the scenes."""
        self.name = name
        self.config = config
        self.model = model
        if config.train_encoder:
            hold_first_layers(model.encoder)
        self._weights = weights
        self._labeled = len(scenes)
        self._scenes = [*scenes, *pseudolabeled]
        self._samples = SampleCounts(config.coarse_samples, config.fine_samples, config.whole_ray_samples)
        self._features = FeatureCache(model, torch.float16)

    @property
    def shares(self) -> int:
        return self.config.targets

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        heads = head_parameters(self.model, classifiers=self.config.train_classifier)
        yield {"params": heads, "lr": self.config.learning_rate}
        if self.config.train_encoder:
            yield {"params": encoder_parameters(self.model), "lr": self.config.encoder_learning_rate}

    def draw(self, generators: list[torch.Generator]) -> RayBatch:
        return RayBatch(tuple(self._draw_target(generator) for generator in generators))

    def forward(self, batch: RayBatch) -> tuple[Tensor, dict[str, Tensor]]:
        losses, terms = [], []
        for rays in batch.targets:
            along = self.model.rays(rays.camera, rays.pixels, rays.bounds)
            outputs = self.model(
                self._encode(rays),
                along,
                self._samples,
                torch.Generator(rays.pixels.device).manual_seed(rays.seed),
                coarse_semantics=self.config.coarse_semantics,
            )
            loss, parts = total_loss(outputs, rays.truth, self._weights, along.range)
            losses.append(loss)
            terms.append({name: term.detach() for name, term in parts.items()})
        means = {name: torch.stack([part[name] for part in terms if name in part]).mean() for name in terms[0]}
        return torch.stack(losses).mean(), means

    def rank(self, scores: dict[str, float]) -> float:
        """By labels or, where nothing is labeled, by color."""
        return Score(scores["strict_miou"], scores["psnr"]).worth(by_labels=True)

    def finish(self) -> None:
        """Nothing to hand on: the next stage trains the same heads."""

    @torch.inference_mode()
    def validate(self, scenes: list[Scene]) -> dict[str, float]:
        """Strict mIoU, PSNR and depth error on fixed random rays, each target seen from its 8 nearest frames."""
        self.model.eval()
        device = next(self.model.parameters()).device
        generator = torch.Generator().manual_seed(0)
        matrix = ConfusionMatrix(self.model.config.classes)
        decibels, depth_errors = [], []
        each = -(-VALIDATION_TARGETS // len(scenes))
        queries = [(scene, target) for scene in scenes for target in scene.spread(each)]
        for scene, target in queries:
            frame = scene.frames[target]
            pixels, truth = target_rays(frame, VALIDATION_RAYS, generator)
            sources = SourceViews.from_frames([scene.frames[index] for index in scene.nearest(target, 8)])
            views = self.model.encode(sources.to(device), bounds=scene.bounds)
            along = self.model.rays(frame.camera.to(device), pixels.to(device), scene.bounds)
            rays = self.model.infer(views, along, self._samples)
            decibels.append(psnr(rays.color.cpu(), truth.color))
            assert rays.logits is not None
            matrix.update(rays.logits.argmax(-1).to(torch.uint8).cpu(), truth.labels)
            if truth.depth is not None:
                depth_errors.append((rays.depth.cpu() - truth.depth).abs().nanmedian())
        self.model.train()
        scores = matrix.strict()
        return {
            "strict_miou": scores.miou,
            "total_accuracy": scores.total_accuracy,
            "psnr": sum(decibels) / len(decibels),
            "depth_error": float(torch.stack(depth_errors).mean()) if depth_errors else float("nan"),
        }

    def _draw_target(self, generator: torch.Generator) -> TargetRays:
        chosen = self._draw_scene(generator)
        scene = self._scenes[chosen]
        target, sources = draw_views(scene, self.config.views, generator)
        frame = drawn(scene.frames[target], generator)
        pixels, truth = target_rays(frame, self.config.rays, generator)
        views = SourceViews.from_frames([scene.frames[index] for index in sources])
        return TargetRays(
            worn(views, generator) if self.model.reads_depth else views,
            tuple((chosen, index) for index in sources),
            frame.camera,
            pixels,
            truth,
            scene.bounds,
            int(torch.randint(0, 2**31, (1,), generator=generator)),
        )

    def _draw_scene(self, generator: torch.Generator) -> int:
        """Its position: first the labeled ones, then the pseudo-labeled."""
        first, count = 0, self._labeled
        others = len(self._scenes) - self._labeled
        if others and float(torch.rand(1, generator=generator)) < self.config.pseudolabel_share:
            first, count = self._labeled, others
        return first + int(torch.randint(0, count, (1,), generator=generator))

    def _encode(self, rays: TargetRays) -> EncodedViews:
        if self.config.train_encoder:
            return self.model.encode(rays.sources, bounds=rays.bounds)
        return self._features.encode(rays.source_names, rays.sources, rays.bounds)
