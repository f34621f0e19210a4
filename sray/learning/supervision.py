"""Labeled pictures as teachers: draw supervised rays, or pixels, of a frame; the loss of a model on them.

Rays teach the whole model and are dear; the pixels of single pictures teach the encoder and the classifier alone, for
a fraction of the time. Both leave out VOID labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.camera import AS_READ, Camera, feature_grid
from sray.errors import ModelError, TooFewViewsError
from sray.frames import Frame
from sray.label_space import VOID
from sray.learning.losses import RayTargets, semantic_loss
from sray.ray_model import RayModel


def target_rays(
    frame: Frame,
    count: int,
    generator: torch.Generator,
    class_weights: Float[Tensor, " classes"] | None = None,
) -> tuple[Float[Tensor, "rays 2"], RayTargets]:
    """Random pixels of a frame, as rays, and their truth. A frame without labels has VOID ones.

    `class_weights`: how much likelier a pixel of each class is drawn than a VOID one; without, all are equally likely.
    """
    height, width = frame.image.shape[:2]
    if class_weights is None or frame.labels is None:
        index = torch.randint(0, height * width, (count,), generator=generator)
    else:
        chances = torch.cat([class_weights, class_weights.new_ones(VOID + 1 - len(class_weights))])
        index = torch.multinomial(chances[frame.labels.flatten().int()], count, replacement=True, generator=generator)
    labels = torch.full((count,), VOID, dtype=torch.uint8) if frame.labels is None else frame.labels.flatten()[index]
    truth = RayTargets(
        frame.image.reshape(-1, 3)[index].float() / 255,
        labels,
        None if frame.depth is None else frame.depth.flatten()[index],
    )
    return torch.stack([index % width, index // width], dim=-1).float(), truth


@dataclass(frozen=True)
class LabeledPixels:
    """Pixels of pictures, and what they show."""

    pixels: Float[Tensor, "pictures pixels 2"]
    """Column and row."""
    labels: UInt8[Tensor, "pictures pixels"]

    @staticmethod
    def draw(frames: Sequence[Frame], count: int, generator: torch.Generator) -> LabeledPixels:
        """So many random pixels of each frame; all frames have one size. A frame without labels has VOID ones."""
        height, width = frames[0].image.shape[:2]
        index = torch.randint(0, height * width, (len(frames), count), generator=generator)
        void = torch.full((height, width), VOID, dtype=torch.uint8)
        labels = torch.stack([void if frame.labels is None else frame.labels for frame in frames])
        pixels = torch.stack([index % width, index // width], dim=-1).float()
        return LabeledPixels(pixels, labels.flatten(1).gather(1, index))

    def to(self, device: torch.device | str) -> LabeledPixels:
        return LabeledPixels(self.pixels.to(device), self.labels.to(device))


def picture_loss(
    model: RayModel,
    features: Float[Tensor, "pictures channels rows columns"],
    truth: LabeledPixels,
    camera: Camera,
    class_weights: Float[Tensor, " classes"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of what the picture classifier reads from a camera's encoded pictures; 0 if nothing is labeled."""
    logits = pixel_logits(model, features, truth.pixels, model.reading_scale(features, camera))
    return semantic_loss(logits.flatten(0, 1), truth.labels.flatten(), class_weights)


def pixel_logits(
    model: RayModel,
    features: Float[Tensor, "pictures channels rows columns"],
    pixels: Float[Tensor, "pictures pixels 2"],
    reading_scale: tuple[float, float] = AS_READ,
) -> Float[Tensor, "pictures pixels classes"]:
    """2D class scores at given pixels (column, row), through the grid that rays read features by.

    `reading_scale`: `RayModel.reading_scale` of the features.
    """
    rows, columns = features.shape[-2:]
    grid = feature_grid(pixels, columns, rows, reading_scale).unsqueeze(1)
    sampled = F.grid_sample(features.float(), grid, padding_mode="border", align_corners=False)
    logits: Tensor = model.picture_classifier(sampled.squeeze(2).transpose(1, 2))
    return logits


def balanced_weights(frames: Sequence[Frame], classes: int, balance: float) -> Float[Tensor, " classes"]:
    """A weight for each class: its frequency to minus `balance`, 1 on average over the labeled pixels.

    0: all pixels alike; 1: all classes alike. A class that no frame shows has weight 0: nothing is known of it.
    """
    counts = torch.zeros(VOID + 1, dtype=torch.long)
    for frame in frames:
        if frame.labels is not None:
            counts += torch.bincount(frame.labels.flatten().int(), minlength=VOID + 1)
    frequency = counts[:classes] / counts[:classes].sum().clamp_min(1)
    weights = torch.where(frequency > 0, frequency.clamp_min(1e-9) ** -balance, 0.0)
    return weights / (weights * frequency).sum().clamp_min(1e-9)


def answering_by_frequency(
    logits: Float[Tensor, "*shape classes"], class_weights: Float[Tensor, " classes"], share: float
) -> Float[Tensor, "*shape classes"]:
    """What the weighted cross-entropy should see, so that the logits themselves answer by frequency.

    Its best answer to p of a class is p times the weight; here it is found by the sum of a logit and `share` of the
    weight's logarithm, and the logit is without it. Source: Menon et al., "Long-tail learning via logit adjustment"
    (ICLR 2021), here against the weights of the loss.
    """
    known = class_weights > 0
    return logits + share * torch.where(known, class_weights.clamp_min(1e-9).log(), 0.0)


def check_teaching_frames(
    model: RayModel, frames: Sequence[Frame], held_out: Sequence[Frame], *, semantic: bool
) -> None:
    """Raises TooFewViewsError for fewer than two frames, or if labels should teach (`semantic`) and none
    does; ModelError for a label the model does not know. ValueError if a held-out frame would teach.
    """
    if len(frames) < 2:
        raise TooFewViewsError(
            f"fine-tuning was given {len(frames)} frames", "at least 2, one to render and one to render it from"
        )
    if any(frame is kept for frame in frames for kept in held_out):
        raise ValueError(
            "a held-out frame is among those that teach; expected other frames, or its score means nothing"
        )
    classes = model.config.classes
    for frame in [*frames, *held_out]:
        if frame.labels is None:
            continue
        strange = frame.labels[(frame.labels >= classes) & (frame.labels != VOID)]
        if len(strange):
            raise ModelError(
                f"frame {frame.name or 'without a name'} has label {int(strange[0])}",
                f"a class of the model, 0 to {classes - 1}, or {VOID}",
                "Read the labels in the model's label space",
            )
    if semantic and not any(frame.labels is not None and (frame.labels != VOID).any() for frame in frames):
        raise TooFewViewsError(
            f"none of the {len(frames)} frames to learn from has a label",
            "at least one",
            "Label some, or let color alone teach (semantic loss weight 0)",
        )
