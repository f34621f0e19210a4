"""StereoDepth: what stereo finds of one keyframe."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera

DEPTH_STRIDE = 2
"""Depth has half of the picture's resolution: cell i lies at pixel 2 i."""


@dataclass(frozen=True)
class StereoDepth:
    """What a sweep found of one keyframe, at half of its resolution (cell i at pixel 2 i)."""

    depth: Float[Tensor, "rows columns"]
    """Camera z, meters."""
    confidence: Float[Tensor, "rows columns"]
    """Probability that the surface is within two planes of the depth: 0 to 1."""

    @property
    def nbytes(self) -> int:
        return self.depth.nbytes + self.confidence.nbytes

    def to(self, device: torch.device) -> StereoDepth:
        return StereoDepth(self.depth.to(device), self.confidence.to(device))

    def half(self) -> StereoDepth:
        """In half precision, to be kept."""
        return StereoDepth(self.depth.half(), self.confidence.half())

    def float(self) -> StereoDepth:
        """In single precision, to be reckoned with."""
        return StereoDepth(self.depth.float(), self.confidence.float())

    def at(self, camera: Camera) -> tuple[Float[Tensor, "height width"], Float[Tensor, "height width"]]:
        """Depth and confidence at every pixel of the keyframe's camera: those of the nearest cell, never a mean.

        Means across an edge would put points into the air between two surfaces.
        """
        rows = ((torch.arange(camera.height, device=self.depth.device) + 0.5) / DEPTH_STRIDE).floor().long()
        columns = ((torch.arange(camera.width, device=self.depth.device) + 0.5) / DEPTH_STRIDE).floor().long()
        rows, columns = rows.clamp_max(self.depth.shape[0] - 1), columns.clamp_max(self.depth.shape[1] - 1)
        return self.depth[rows][:, columns], self.confidence[rows][:, columns]
