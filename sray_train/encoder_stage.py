"""First stage: the encoder learns 2D labels, on the same grid the rays will read. Rays are dear, pictures cheap."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from sray.camera import feature_grid
from sray.label_space import VOID
from sray.metrics import ConfusionMatrix
from sray.model import SemanticRay
from sray_train.config import EncoderStage
from sray_train.datasets.scene import Scene


class EncoderTraining:
    """Encoder and fine classifier on the labels of random pixels of random pictures."""

    name = "encoder"

    def __init__(self, config: EncoderStage, model: SemanticRay, scenes: list[Scene]) -> None:
        self.config = config
        self.model = model
        self._frames = [
            (frame.image, frame.labels) for scene in scenes for frame in scene.frames if frame.labels is not None
        ]
        if not self._frames:
            raise ValueError("no training picture has labels; the encoder stage needs some (or set encoder.steps to 0)")
        self._class_weights = self._balance()

    def parameter_groups(self) -> Iterator[dict[str, object]]:
        parameters = [*self.model.encoder.parameters(), *self.model.fine.classifier.parameters()]
        yield {"params": parameters, "lr": self.config.learning_rate, "weight_decay": self.config.weight_decay}

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        drawn = torch.randint(0, len(self._frames), (self.config.batch,), generator=generator)
        pairs = [_augment(*self._frames[int(index)], generator) for index in drawn]
        images, labels = torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])
        height, width = labels.shape[1:]
        index = torch.randint(0, height * width, (len(pairs), self.config.pixels), generator=generator)
        logits = pixel_logits(self.model, images, torch.stack([index % width, index // width], dim=-1).float())
        loss = F.cross_entropy(
            logits.flatten(0, 1),
            labels.flatten(1).gather(1, index).flatten().long(),
            weight=self._class_weights,
            ignore_index=VOID,
        )
        return loss, {"semantic": float(loss.detach())}

    def finish(self) -> None:
        """Both heads of the ray stages start from what the 2D classifier learned."""
        self.model.coarse.classifier.load_state_dict(self.model.fine.classifier.state_dict())

    @torch.inference_mode()
    def validate(self, scenes: list[Scene]) -> dict[str, float]:
        """Strict mIoU of the 2D labels of every fourth picture of the validation scenes."""
        self.model.eval()
        matrix = ConfusionMatrix(self.model.config.classes)
        for scene in scenes:
            frames = [frame for frame in scene.frames[::4] if frame.labels is not None]
            pixels = scene.cameras.pixel_grid().expand(len(frames), -1, -1)
            images = torch.stack([frame.image for frame in frames]).permute(0, 3, 1, 2).float() / 255
            predicted = pixel_logits(self.model, images, pixels).argmax(-1).to(torch.uint8)
            truth = torch.stack([frame.labels.flatten() for frame in frames if frame.labels is not None])
            matrix.update(predicted, truth)
        self.model.train()
        scores = matrix.strict()
        return {"strict_miou": scores.miou, "total_accuracy": scores.total_accuracy}

    def _balance(self) -> Tensor:
        classes = self.model.config.classes
        counts = torch.zeros(256, dtype=torch.long)
        for _, labels in self._frames[:: max(1, len(self._frames) // 500)]:
            counts += torch.bincount(labels.flatten().int(), minlength=256)
        frequency = (counts[:classes] + 1) / (counts[:classes].sum() + classes)
        weights = frequency**-self.config.balance
        return weights / (weights * frequency).sum()


def pixel_logits(model: SemanticRay, images: Tensor, pixels: Tensor) -> Tensor:
    """2D class scores (pictures, pixels, classes) at given pixels, through the grid that rays read features by."""
    features = model.encoder(images)
    rows, columns = features.shape[-2:]
    grid = feature_grid(pixels, columns, rows).unsqueeze(1)
    sampled = F.grid_sample(features, grid, padding_mode="border", align_corners=False)
    logits: Tensor = model.fine.classifier(sampled.squeeze(2).transpose(1, 2))
    return logits


def _augment(image: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A picture as another camera might have taken it: mirrored, cropped, in other light."""
    height, width = labels.shape
    random = torch.rand(7, generator=generator)
    picture = image.permute(2, 0, 1).float() / 255
    if random[0] < 0.5:
        picture, labels = picture.flip(-1), labels.flip(-1)
    scale = float(1 - 0.4 * random[1])
    rows, columns = round(height * scale), round(width * scale)
    top, left = int(random[2] * (height - rows + 1)), int(random[3] * (width - columns + 1))
    picture = picture[:, top : top + rows, left : left + columns].unsqueeze(0)
    picture = F.interpolate(picture, (height, width), mode="bilinear", align_corners=False)[0]
    cropped = labels[top : top + rows, left : left + columns]
    labels = F.interpolate(cropped[None, None].float(), (height, width), mode="nearest-exact")[0, 0].to(torch.uint8)
    gains = 1 + 0.12 * torch.randn(3, 1, 1, generator=generator)
    gamma = float(torch.exp(0.5 * (random[4] - 0.5)))
    picture = (picture.clamp(1e-4, 1) ** gamma * gains * (0.75 + 0.5 * random[5])).clamp(0, 1)
    noise = 0.02 * random[6] * torch.randn(picture.shape, generator=generator)
    return (picture + noise).clamp(0, 1), labels
