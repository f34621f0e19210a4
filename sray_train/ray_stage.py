"""Stages on rays: eq. 15 and 16 on random targets of random scenes, the encoder frozen or training along."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sray.context import EncodedViews
from sray.frames import Frame, SourceViews
from sray.losses import LossWeights, RayTargets, total_loss
from sray.metrics import ConfusionMatrix, psnr
from sray.model import RaySamples, SemanticRay
from sray.sampling import ROOM_BOUNDS
from sray_train.config import RayStage
from sray_train.datasets.scene import Scene, target_rays
from sray_train.datasets.source_views import draw_views

VALIDATION_RAYS = 1024


class RayTraining:
    """Random rays of a random target, rendered from random nearby sources, against the target's picture."""

    def __init__(
        self, name: str, config: RayStage, weights: LossWeights, model: SemanticRay, scenes: list[Scene]
    ) -> None:
        self.name = name
        self.config = config
        self.model = model
        self._weights = weights
        self._scenes = scenes
        self._samples = RaySamples(config.coarse_samples, config.fine_samples)
        self._features: dict[tuple[int, int], Tensor] = {}
        self.bounds = ROOM_BOUNDS

    def parameter_groups(self) -> Iterator[dict[str, object]]:
        heads = [parameter for name, parameter in self.model.named_parameters() if not name.startswith("encoder.")]
        yield {"params": heads, "lr": self.config.learning_rate, "weight_decay": 0.0}
        if self.config.train_encoder:
            yield {
                "params": list(self.model.encoder.parameters()),
                "lr": self.config.encoder_learning_rate,
                "weight_decay": 0.0,
            }

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        chosen = int(torch.randint(0, len(self._scenes), (1,), generator=generator))
        scene = self._scenes[chosen]
        target, sources = draw_views(scene, self.config.views, generator)
        frame = scene.frames[target]
        pixels, color, labels, depth = target_rays(frame, self.config.rays, generator)
        if labels is None:
            raise ValueError(f"scene {scene.name} has no labels; training on rays needs them")
        views = self._encode(chosen, sources)
        outputs = self.model(
            views,
            frame.camera,
            pixels,
            self.bounds,
            self._samples,
            generator,
            coarse_semantics=self.config.coarse_semantics,
        )
        total, terms = total_loss(
            outputs, RayTargets(color, labels, depth), self._weights, self.bounds, self.model.config.spacing
        )
        return total, {name: float(term.detach()) for name, term in terms.items()}

    def finish(self) -> None:
        """Nothing to hand on: the next stage trains the same heads."""

    @torch.inference_mode()
    def validate(self, scenes: list[Scene]) -> dict[str, float]:
        """Strict mIoU, PSNR and depth error on fixed random rays of one target a scene, from its 8 nearest frames."""
        self.model.eval()
        generator = torch.Generator().manual_seed(0)
        matrix = ConfusionMatrix(self.model.config.classes)
        decibels, depth_errors = [], []
        for scene in scenes:
            target = len(scene.frames) // 2
            frame = scene.frames[target]
            pixels, color, labels, depth = target_rays(frame, VALIDATION_RAYS, generator)
            sources = SourceViews.from_frames([scene.frames[index] for index in scene.nearest(target, 8)])
            views = self.model.encode(sources)
            rays = self.model.infer(views, frame.camera, pixels, self.bounds, self._samples)
            decibels.append(psnr(rays.color, color))
            if labels is not None:
                assert rays.logits is not None
                matrix.update(rays.logits.argmax(-1).to(torch.uint8), labels)
            if depth is not None:
                depth_errors.append((rays.depth - depth).abs().nanmedian())
        self.model.train()
        scores = matrix.strict()
        return {
            "strict_miou": scores.miou,
            "total_accuracy": scores.total_accuracy,
            "psnr": sum(decibels) / len(decibels),
            "depth_error": float(torch.stack(depth_errors).mean()) if depth_errors else float("nan"),
        }

    def _encode(self, scene: int, sources: list[int]) -> EncodedViews:
        views = SourceViews.from_frames([self._scenes[scene].frames[index] for index in sources])
        if self.config.train_encoder:
            return self.model.encode(views)
        for index in sources:
            if (scene, index) not in self._features:
                self._features[scene, index] = self._features_of(self._scenes[scene].frames[index])
        features = torch.stack([self._features[scene, index].float() for index in sources])
        return EncodedViews(views.images, views.camera, features)

    @torch.no_grad()
    def _features_of(self, frame: Frame) -> Tensor:
        """Features of one frame by itself: in a batch they would differ in the last bit, and a resumed run with them.

        Half precision halves the memory; features are normalised, so nothing overflows.
        """
        encoded: Tensor = self.model.encoder(frame.image.permute(2, 0, 1).unsqueeze(0).float() / 255)
        return encoded[0].half()
