"""Frame: one posed picture. SourceViews: several of one size as one batch, which is what the model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from sray.calibration import same_aspect
from sray.camera import Camera
from sray.errors import FileError


@dataclass(frozen=True)
class Frame:
    """One posed picture, on the CPU as it was recorded."""

    image: UInt8[Tensor, "height width 3"]
    """RGB."""
    camera: Camera
    depth: Float[Tensor, "height width"] | None = None
    """Camera z in meters; NaN where there is none."""
    labels: UInt8[Tensor, "height width"] | None = None
    """Class indices; VOID (255) unlabeled."""
    stamp_ns: int = 0
    name: str = ""
    """Where it came from, for messages and reports."""

    def resized(self, width: int, height: int) -> Frame:
        """The same frame at another size: color area-averaged when shrinking; depth and labels nearest-exact."""
        if (width, height) == (self.camera.width, self.camera.height):
            return self
        shrinking = width < self.camera.width
        image = cv2.resize(
            self.image.numpy(), (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        )
        return replace(
            self,
            image=torch.from_numpy(np.ascontiguousarray(image)),
            camera=self.camera.resized(width, height),
            depth=None if self.depth is None else torch.from_numpy(nearest_exact(self.depth.numpy(), width, height)),
            labels=None if self.labels is None else torch.from_numpy(nearest_exact(self.labels.numpy(), width, height)),
        )


def nearest_exact(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Resized by taking the nearest pixel center, if it has another size: labels and depth have no means."""
    if image.shape[:2] == (height, width):
        return image
    # INTER_NEAREST_EXACT samples at pixel centers; plain INTER_NEAREST shifts by up to 0.6 px.
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.ascontiguousarray(resized)


TRUSTED = 0.5
"""Confidence from which a depth places samples and bounds a scene. Less still has its say in who sees a sample."""


def at_size_of_image(picture: NDArray[Any], width: int, height: int, what: str, path: Path | str) -> NDArray[Any]:
    """Depth or labels (height, width) at their image's size, nearest-exact.

    Raises FileError, naming `path`, if they have another shape, and would not lie on what they mean.
    """
    if not same_aspect((picture.shape[1], picture.shape[0]), (width, height)):
        raise FileError(
            f"{path} has {what} of {picture.shape[1]}x{picture.shape[0]} beside a picture of {width}x{height}",
            "one shape",
            f"Export {what} for the color camera, uncropped",
        )
    return nearest_exact(picture, width, height)


@dataclass(frozen=True)
class SourceViews:
    """A batch of views of one size, ready for the model."""

    images: Float[Tensor, "views 3 height width"]
    """RGB in 0..1."""
    camera: Camera
    """Batch of `views` cameras."""
    depth: Float[Tensor, "views height width"] | None = None
    """Camera z in meters, NaN where there is none; None if no view has any. Of a sensor, or of stereo."""
    depth_confidence: Float[Tensor, "views height width"] | None = None
    """How sure the depth is, 0..1; None: 1 wherever there is depth."""
    gains: Float[Tensor, "views 3"] | None = None
    """What the colors that rays read are multiplied by, so that all views have one exposure (`sray.exposure`);
    None: not known."""

    @staticmethod
    def from_frames(frames: Sequence[Frame]) -> SourceViews:
        """Raises ValueError if there is no frame or their sizes differ."""
        if not frames:
            raise ValueError("there are no frames to make source views of; expected at least one")
        camera = Camera.stack([frame.camera for frame in frames])  # first: it says which sizes differ
        unknown = torch.full((camera.height, camera.width), torch.nan)
        depths = [unknown if frame.depth is None else frame.depth for frame in frames]
        return SourceViews(
            torch.stack([frame.image for frame in frames]).permute(0, 3, 1, 2).float() / 255,
            camera,
            None if all(frame.depth is None for frame in frames) else torch.stack(depths),
        )

    @property
    def count(self) -> int:
        return self.images.shape[0]

    @property
    def trusted_depth(self) -> Float[Tensor, "views height width"] | None:
        """The depth that is more likely right than wrong, meters: NaN where the confidence is below TRUSTED."""
        if self.depth is None or self.depth_confidence is None:
            return self.depth
        # A confidence that is NaN is none: it fails the comparison too.
        return torch.where(self.depth_confidence >= TRUSTED, self.depth, torch.nan)

    def __getitem__(self, index: Tensor | list[int]) -> SourceViews:
        optional = (None if each is None else each[index] for each in (self.depth, self.depth_confidence, self.gains))
        return SourceViews(self.images[index], self.camera[index], *optional)

    def to(self, device: torch.device | str) -> SourceViews:
        known = (self.depth, self.depth_confidence, self.gains)
        optional = (None if each is None else each.to(device) for each in known)
        return SourceViews(self.images.to(device), self.camera.to(device), *optional)
