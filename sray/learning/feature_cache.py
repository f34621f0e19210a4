"""FeatureCache: what an encoder that does not change makes of pictures, computed once for each."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from sray.camera import Camera
from sray.context import EncodedViews
from sray.frames import SourceViews
from sray.ray_model import RayModel
from sray.sampling import Bounds


class FeatureCache:
    """Features of pictures by their keys, where the model is."""

    def __init__(self, model: RayModel, dtype: torch.dtype = torch.float32) -> None:
        """`dtype`: how features are kept. Half precision halves the memory; they are normalized: nothing overflows."""
        self._model = model
        self._dtype = dtype
        self._features: dict[Hashable, Tensor] = {}

    def encode(self, keys: Sequence[Hashable], sources: SourceViews, bounds: Bounds) -> EncodedViews:
        """As `model.encode` does; `keys`: one for each source, the same for the same picture."""
        for key, image in zip(keys, sources.images, strict=True):
            if key not in self._features:
                self._features[key] = self._features_of(image, sources.camera)
        features = torch.stack([self._features[key].float() for key in keys])
        return self._model.encode(sources, features, bounds)

    @torch.no_grad()
    def _features_of(self, image: Tensor, camera: Camera) -> Tensor:
        """Of one picture by itself: in a batch they would differ in the last bit, and a resumed run with them."""
        return self._model.picture_features(image.unsqueeze(0), camera)[0].to(self._dtype)
