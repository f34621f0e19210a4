"""First stage: the encoder learns 2D labels, on the same grid the rays will read. Rays are dear, pictures cheap.

It learns from the pictures of scenes and, where there are some, from single labeled pictures of real places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.backbone import LiteUNet
from sray.errors import RequestError
from sray.frames import Frame
from sray.label_space import VOID
from sray.learning.losses import summed_cross_entropy
from sray.learning.optimization import encoder_parameters, hold_first_layers
from sray.learning.supervision import answering_by_frequency, balanced_weights, pixel_logits
from sray.metrics import ConfusionMatrix
from sray.ray_model import RayModel
from sray_train.data.scene import Scene
from sray_train.learn.config import EncoderStage
from sray_train.learn.pseudolabels.teaching import drawn
from sray_train.learn.training.augmentation import augment, pasted

BALANCE_FRAMES = 500
"""Frames that say how frequent classes are."""


@dataclass(frozen=True)
class PictureBatch:
    """Augmented pictures, and the pixels of them whose labels count."""

    images: Float[Tensor, "pictures 3 height width"]
    """0..1."""
    pixels: Float[Tensor, "pictures pixels 2"]
    """Column and row."""
    labels: UInt8[Tensor, "pictures pixels"]

    def to(self, device: torch.device) -> PictureBatch:
        return PictureBatch(self.images.to(device), self.pixels.to(device), self.labels.to(device))


class EncoderTraining:
    """Encoder and picture classifier on the labels of random pixels of random pictures."""

    name = "encoder"

    def __init__(
        self,
        config: EncoderStage,
        model: RayModel,
        scenes: list[Scene],
        pictures: Sequence[Frame] = (),
        validation_pictures: Sequence[Frame] = (),
        pseudolabeled: Sequence[Scene] = (),
        hinting: RayModel | None = None,
    ) -> None:
        """`pictures` and `pseudolabeled` recordings teach beside the scenes; `validation_pictures` are scored beside
        the validation scenes. `hinting`: the model whose features `config.hints` pulls towards.
        """
        self.config = config
        self.model = model
        self._hinting = hinting
        hold_first_layers(model.encoder)
        self._pictures = pictures
        self._validation_pictures = validation_pictures
        labeled = [scene for scene in scenes if scene.has_labels]
        self._frames = [(scene, index) for scene in labeled for index in range(len(scene.frames))]
        self._pseudolabeled = [(scene, index) for scene in pseudolabeled for index in range(len(scene.frames))]
        if not self._frames and not pictures and not self._pseudolabeled:
            raise RequestError("no training scene has labels", "some for the encoder stage, or encoder.steps 0")
        known = self._frames if config.picture_share < 1 or not pictures else []
        known = known or self._pseudolabeled
        sample = known[:: max(1, len(known) // BALANCE_FRAMES)]
        taught = len(pictures) if config.picture_share > 0 or not self._frames else 0
        chosen = range(0, taught, max(1, taught // BALANCE_FRAMES))
        self._class_weights = balanced_weights(
            [*(scene.frames[index] for scene, index in sample), *(pictures[index] for index in chosen)],
            model.config.classes,
            config.balance,
        )

    @property
    def shares(self) -> int:
        return self.config.batch

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        config, encoder = self.config, self.model.encoder
        backbone = set(encoder.backbone.parameters()) if isinstance(encoder, LiteUNet) else set()
        learning = encoder_parameters(self.model)
        if later := [parameter for parameter in learning if parameter in backbone]:
            # The decoder's first, random errors must not spoil what ImageNet taught.
            yield {
                "params": later,
                "lr": config.backbone_learning_rate,
                "weight_decay": config.weight_decay,
                "delay": config.backbone_delay,
            }
        own = [parameter for parameter in learning if parameter not in backbone]
        own += self.model.picture_classifier.parameters()
        yield {"params": own, "lr": config.learning_rate, "weight_decay": config.weight_decay}

    def draw(self, generators: list[torch.Generator]) -> PictureBatch:
        images, pixels, labels = [], [], []
        for generator in generators:
            image, truth = self._draw_picture(generator)
            if self.config.mixed_share and float(torch.rand(1, generator=generator)) < self.config.mixed_share:
                image, truth = pasted(image, truth, *self._draw_picture(generator), generator)
            height, width = truth.shape
            chosen = torch.randint(0, height * width, (self.config.pixels,), generator=generator)
            images.append(image)
            pixels.append(torch.stack([chosen % width, chosen // width], dim=-1).float())
            labels.append(truth.flatten()[chosen])
        return PictureBatch(torch.stack(images), torch.stack(pixels), torch.stack(labels))

    def _draw_picture(
        self, generator: torch.Generator
    ) -> tuple[Float[Tensor, "3 height width"], UInt8[Tensor, "height width"]]:
        """Any picture, augmented, and its labels."""
        frame = drawn(self._draw_frame(generator), generator)
        truth = torch.full(frame.image.shape[:2], VOID, dtype=torch.uint8) if frame.labels is None else frame.labels
        size = (self.config.width, self.config.height)
        return augment(frame.image, truth, size, generator, self.config.smallest_crop)

    def _draw_frame(self, generator: torch.Generator) -> Frame:
        if self._pseudolabeled:
            share = self.config.pseudolabel_share if self._frames or self._pictures else 1.0
            if float(torch.rand(1, generator=generator)) < share:
                return _any(self._pseudolabeled, generator)
        share = self.config.picture_share if self._frames else 1.0
        if self._pictures and float(torch.rand(1, generator=generator)) < share:
            return self._pictures[int(torch.randint(0, len(self._pictures), (1,), generator=generator))]
        return _any(self._frames, generator)

    def forward(self, batch: PictureBatch) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.model.read(batch.images)
        logits = pixel_logits(self.model, features, batch.pixels).flatten(0, 1)
        weights = self._class_weights.to(logits.device)
        logits = answering_by_frequency(logits, weights, self.config.frequency_share)
        # Over all pixels drawn: the mean over labeled ones would depend on how pictures are spread over processes.
        loss = summed_cross_entropy(logits, batch.labels.flatten(), weights) / batch.labels.numel()
        if self._hinting is None:
            return loss, {"semantic": loss.detach()}
        hints = distance_to(self._hinting, features, batch.images)
        return loss + self.config.hints * hints, {"semantic": loss.detach(), "hints": hints.detach()}

    def rank(self, scores: dict[str, float]) -> float:
        """By labels."""
        return scores["strict_miou"]

    def finish(self) -> None:
        """Both heads of the ray stages start from what the 2D classifier learned."""
        learned = self.model.picture_classifier.state_dict()
        for head in (self.model.coarse, self.model.fine):
            head.classifier.load_state_dict(learned)

    @torch.inference_mode()
    def validate(self, scenes: list[Scene]) -> dict[str, float]:
        """Strict mIoU of 2D labels: every fourth picture of the scenes, and all single pictures.

        `strict_miou`, by which checkpoints are chosen, is of the single pictures where there are some.
        """
        rooms = self._scores([frame for scene in scenes for frame in scene.frames[::4]])
        if not self._validation_pictures:
            return rooms
        return {**self._scores(self._validation_pictures), "scenes_miou": rooms["strict_miou"]}

    def _scores(self, frames: Sequence[Frame]) -> dict[str, float]:
        self.model.eval()
        device = next(self.model.parameters()).device
        matrix = ConfusionMatrix(self.model.config.classes)
        for frame in frames:
            if frame.labels is not None:
                image = frame.image.permute(2, 0, 1).unsqueeze(0).to(device).float() / 255
                pixels = frame.camera.pixel_grid().unsqueeze(0).to(device)
                features = self.model.picture_features(image, frame.camera)
                scale = self.model.reading_scale(features, frame.camera)
                logits = pixel_logits(self.model, features, pixels, scale)
                matrix.update(logits.argmax(-1).flatten().to(torch.uint8).cpu(), frame.labels.flatten())
        self.model.train()
        scores = matrix.strict()
        return {"strict_miou": scores.miou, "total_accuracy": scores.total_accuracy}


def distance_to(
    given: RayModel,
    features: Float[Tensor, "pictures channels rows columns"],
    images: Float[Tensor, "pictures 3 height width"],
) -> Float[Tensor, ""]:
    """Mean squared distance of features from a given model's of the same pictures, over the variance of those."""
    with torch.no_grad():
        wanted = given.read(images).float()
    return F.mse_loss(features.float(), wanted) / wanted.var()


def _any(frames: Sequence[tuple[Scene, int]], generator: torch.Generator) -> Frame:
    scene, index = frames[int(torch.randint(0, len(frames), (1,), generator=generator))]
    return scene.frames[index]
