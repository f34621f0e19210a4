"""What a model knows and the frames to learn from do not show: held to its old answers, so that it is not forgotten.

Taught wall and floor on frames of one corner, a network calls a bed across the room wall: nothing told it that beds go
on existing. So on other frames of the scene, where the old model sees a class that no label teaches, that answer is
taught again. Where it sees a class that the labels do teach, it is not: they know better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from sray.frames import Frame
from sray.label_space import VOID
from sray.learning.supervision import pixel_logits
from sray.ray_model import RayModel

SURE = 0.5
"""Probability of an answer that is worth keeping."""
LEAST_SHARE = 0.001
"""Of the labeled pixels: a class with fewer is as good as absent."""


def taught_classes(frames: Sequence[Frame], classes: int) -> set[int]:
    """The classes that the frames' labels show."""
    counts = torch.zeros(classes, dtype=torch.long)
    for frame in frames:
        if frame.labels is not None:
            known = frame.labels[frame.labels != VOID].long()
            counts += torch.bincount(known, minlength=classes)[:classes]
    return set(torch.nonzero(counts > LEAST_SHARE * counts.sum()).flatten().tolist())


@torch.no_grad()
def remembered(model: RayModel, frames: Sequence[Frame], taught: set[int]) -> dict[int, Frame]:
    """Frames in which the model's 2D half surely sees classes that are not `taught`: labeled there, and VOID else.

    By position in `frames`; the others are left out. Labels that a frame has are not looked at. A model without an
    encoder says nothing of a picture: none.
    """
    if not model.feature_channels:
        return {}
    device = next(model.parameters()).device
    known = torch.tensor([index in taught for index in range(model.config.classes)], device=device)
    was_training = model.training
    kept: dict[int, Frame] = {}
    model.eval()
    for position, frame in enumerate(frames):
        image = frame.image.to(device).permute(2, 0, 1).unsqueeze(0).float() / 255
        pixels = frame.camera.pixel_grid().to(device).unsqueeze(0)
        features = model.picture_features(image, frame.camera)
        logits = pixel_logits(model, features, pixels, model.reading_scale(features, frame.camera))[0]
        probability, answer = logits.float().softmax(-1).max(-1)
        answer = torch.where(known[answer] | (probability < SURE), VOID, answer).to(torch.uint8)
        if (answer != VOID).any():
            kept[position] = replace(frame, labels=answer.reshape(frame.image.shape[:2]).cpu())
    model.train(was_training)
    return kept
