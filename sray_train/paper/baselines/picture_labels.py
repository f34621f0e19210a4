"""What 2D labels voxel fusion takes: class probabilities of every pixel of the source views."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sray.errors import ModelError
from sray.frames import SourceViews
from sray.learning.supervision import pixel_logits
from sray.ray_model import RayModel


class PictureLabels(Protocol):
    """What says probabilities of the classes for pixels of source views."""

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
