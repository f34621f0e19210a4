"""First stage: the encoder learns 2D labels, on the same grid the rays will read. Rays are dear, pictures cheap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.errors import ErrorCode, SrayError
from sray.label_space import VOID
from sray.metrics import ConfusionMatrix
from sray.ray_model import RayModel
from sray.supervision import balanced_weights, pixel_logits
from sray_train.data.scene import Scene
from sray_train.learn.config import EncoderStage
from sray_train.learn.training.augmentation import augment

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

    def __init__(self, config: EncoderStage, model: RayModel, scenes: list[Scene]) -> None:
        self.config = config
        self.model = model
        self._scenes = [scene for scene in scenes if scene.frames[0].labels is not None]
        if not self._scenes:
            raise SrayError(
                ErrorCode.BAD_FILE, "no training scene has labels; the encoder stage needs some, or set encoder.steps 0"
            )
        self._frames = [(scene, index) for scene in self._scenes for index in range(len(scene.frames))]
        sample = self._frames[:: max(1, len(self._frames) // BALANCE_FRAMES)]
        self._class_weights = balanced_weights(
            [scene.frames[index] for scene, index in sample], model.config.classes, config.balance
        )

    @property
    def shares(self) -> int:
        return self.config.batch

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        parameters = [*self.model.encoder.parameters(), *self.model.picture_classifier.parameters()]
        yield {"params": parameters, "lr": self.config.learning_rate, "weight_decay": self.config.weight_decay}

    def draw(self, generators: list[torch.Generator]) -> PictureBatch:
        images, pixels, labels = [], [], []
        for generator in generators:
            scene, index = self._frames[int(torch.randint(0, len(self._frames), (1,), generator=generator))]
            frame = scene.frames[index]
            truth = torch.full(frame.image.shape[:2], VOID, dtype=torch.uint8) if frame.labels is None else frame.labels
            image, truth = augment(frame.image, truth, generator)
            height, width = truth.shape
            chosen = torch.randint(0, height * width, (self.config.pixels,), generator=generator)
            images.append(image)
            pixels.append(torch.stack([chosen % width, chosen // width], dim=-1).float())
            labels.append(truth.flatten()[chosen])
        return PictureBatch(torch.stack(images), torch.stack(pixels), torch.stack(labels))

    def forward(self, batch: PictureBatch) -> tuple[Tensor, dict[str, Tensor]]:
        logits = pixel_logits(self.model, self.model.encoder(batch.images), batch.pixels).float()
        # A plain mean over the pixels drawn: a weighted one would depend on how pictures are spread over processes.
        loss = F.cross_entropy(
            logits.flatten(0, 1),
            batch.labels.flatten().long(),
            weight=self._class_weights.to(logits),
            ignore_index=VOID,
            reduction="sum",
        )
        loss = loss / batch.labels.numel()
        return loss, {"semantic": loss.detach()}

    def finish(self) -> None:
        """Both heads of the ray stages start from what the 2D classifier learned."""
        learned = self.model.picture_classifier.state_dict()
        for head in (self.model.coarse, self.model.fine):
            head.classifier.load_state_dict(learned)

    @torch.inference_mode()
    def validate(self, scenes: list[Scene]) -> dict[str, float]:
        """Strict mIoU of the 2D labels of every fourth picture of the validation scenes."""
        self.model.eval()
        device = next(self.model.parameters()).device
        matrix = ConfusionMatrix(self.model.config.classes)
        for scene in scenes:
            for frame in scene.frames[::4]:
                if frame.labels is not None:
                    image = frame.image.permute(2, 0, 1).unsqueeze(0).to(device).float() / 255
                    pixels = frame.camera.pixel_grid().unsqueeze(0).to(device)
                    logits = pixel_logits(self.model, self.model.encoder(image), pixels)
                    matrix.update(logits.argmax(-1).flatten().to(torch.uint8).cpu(), frame.labels.flatten())
        self.model.train()
        scores = matrix.strict()
        return {"strict_miou": scores.miou, "total_accuracy": scores.total_accuracy}
