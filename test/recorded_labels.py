"""Labels of frames as a 2D network would say them: what baselines that take 2D labels are tested with."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sray.frames import Frame, SourceViews
from sray.label_space import VOID

TRUST = 0.8
"""Probability of the true class; what is left falls on the other classes alike."""


class RecordedLabels:
    """Each source view is known by its pose. What has no label has the same probability for all classes."""

    def __init__(self, frames: Iterable[Frame], classes: int) -> None:
        self._classes = classes
        self._labels = {
            _pose(frame.camera.world_from_camera): torch.full(frame.image.shape[:2], VOID) if frame.labels is None
            else frame.labels
            for frame in frames
        }  # fmt: skip

    def __call__(self, views: SourceViews) -> Tensor:
        """Probabilities (views, height, width, classes)."""
        return torch.stack([self._of(_pose(pose)) for pose in views.camera.world_from_camera])

    def _of(self, pose: tuple[float, ...]) -> Tensor:
        labels = self._labels[pose]
        known = labels != VOID
        probabilities = torch.full((*labels.shape, self._classes), (1 - TRUST) / (self._classes - 1))
        probabilities[~known] = 1 / self._classes
        return probabilities.scatter_(
            -1,
            torch.where(known, labels, 0).long().unsqueeze(-1),
            torch.where(known, TRUST, 1 / self._classes).unsqueeze(-1),
        )


def _pose(world_from_camera: Tensor) -> tuple[float, ...]:
    return tuple(world_from_camera.cpu().flatten().tolist())
