"""FrameRenderer: views from some of a set of frames, each of which is encoded once. RGB alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sray.camera import Camera
from sray.field import RenderedView, SemanticField
from sray.frames import Frame, SourceViews
from sray.sampling import Bounds


class FrameRenderer:
    """Encodes a frame when it is first a source."""

    def __init__(self, field: SemanticField, frames: Sequence[Frame], bounds: Bounds) -> None:
        """`bounds`: near and far, meters."""
        self._field = field
        self._frames = frames
        self._bounds = bounds
        self._features: dict[int, Tensor] = {}

    def render(self, camera: Camera, sources: Sequence[int]) -> RenderedView:
        """The camera's view from the frames at the positions `sources`, whose depth is not looked at."""
        for index in sources:
            if index not in self._features:
                self._features[index] = self._field.encode(self._frames[index].image, self._frames[0].camera)
        views = replace(SourceViews.from_frames([self._frames[index] for index in sources]), depth=None)
        self._field.set_sources(views, torch.stack([self._features[index] for index in sources]), self._bounds)
        return self._field.render(camera)
