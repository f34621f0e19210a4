"""What 2D labels voxel fusion takes: class probabilities of every pixel of the source views."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sray.errors import ModelError
from sray.frames import Frame, SourceViews
from sray.label_space import VOID
from sray.learning.supervision import pixel_logits
from sray.ray_model import RayModel


class PictureLabels(Protocol):
    """A 2D network, or what one has said before."""

    def __call__(self, views: SourceViews) -> Float[Tensor, "views height width classes"]:
        """Probabilities, on the CPU. A pixel of which nothing is known has the same for all classes."""
        ...


class NetworkLabels:
    """A system's own 2D half: its encoder, and the classifier that learned of single pictures."""

    def __init__(self, model: RayModel, projection: Float[Tensor, "sources classes"] | None = None) -> None:
        """`projection`: into another label space, whose probabilities are then said.

        Raises ModelError if the system has no encoder.
        """
        if not model.feature_channels:
            raise ModelError(
                f"{model.system} has no encoder, and nothing to say of a picture",
                "a checkpoint of a system that has one, such as semantic_ray",
            )
        self._model = model.eval()
        self._projection = projection

    @torch.inference_mode()
    def __call__(self, views: SourceViews) -> Float[Tensor, "views height width classes"]:
        device = next(self._model.parameters()).device
        height, width = views.images.shape[-2:]
        pixels = views.camera.pixel_grid().to(device).unsqueeze(0)
        pictures = []
        for image in views.images.to(device):  # one by one: memory does not grow with the views
            features = self._model.picture_features(image.unsqueeze(0), views.camera)
            logits = pixel_logits(self._model, features, pixels, self._model.reading_scale(features, views.camera))
            probabilities = torch.softmax(logits.float(), -1).cpu()
            if self._projection is not None:
                probabilities = probabilities @ self._projection
            pictures.append(probabilities.reshape(height, width, -1))
        return torch.stack(pictures)


class RecordedLabels:
    """Label pictures of a recording: a segmenter's, as `sray pseudolabel` writes them, or ground truth.

    Source views have no names: each is known by its pose. A label is right with probability `trust`; what is left
    falls on the other classes alike.
    """

    def __init__(self, frames: Iterable[Frame], classes: int, trust: float = 0.8) -> None:
        if not 1 / classes < trust < 1:
            raise ValueError(f"trust is {trust}; expected more than 1/{classes}, a guess, and less than 1")
        self._classes = classes
        self._trust = trust
        self._labels = {_pose(frame.camera.world_from_camera): frame.labels for frame in frames}

    def __call__(self, views: SourceViews) -> Float[Tensor, "views height width classes"]:
        """Raises ValueError for a view that the recording has not."""
        return torch.stack([self._of(views, index) for index in range(views.count)])

    def _of(self, views: SourceViews, index: int) -> Tensor:
        pose = _pose(views.camera.world_from_camera[index])
        if pose not in self._labels:
            raise ValueError(f"source view {index} is none of the {len(self._labels)} frames with labels")
        size = (views.camera.height, views.camera.width)
        labels = self._labels[pose]
        probabilities = torch.full((*size, self._classes), (1 - self._trust) / (self._classes - 1))
        if labels is None:
            return torch.full_like(probabilities, 1 / self._classes)
        if labels.shape != size:
            raise ValueError(f"label pictures are {tuple(labels.shape)}, source views {size}; expected one size")
        known = labels != VOID
        probabilities[~known] = 1 / self._classes
        return probabilities.scatter_(
            -1,
            torch.where(known, labels, 0).long().unsqueeze(-1),
            torch.where(known, self._trust, 1 / self._classes).unsqueeze(-1),
        )


def _pose(world_from_camera: Tensor) -> tuple[float, ...]:
    return tuple(world_from_camera.cpu().flatten().tolist())
