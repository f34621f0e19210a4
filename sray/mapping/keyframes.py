"""Keyframes: which frames are worth keeping, and which leave when the buffer is full.

A frame enters if it is sharp and the camera has moved or turned far enough from *every* keyframe held, not only from
the last one: a robot that comes back does not fill the buffer with what it already has. When the buffer is full the
most redundant keyframe leaves: the older one of the two that lie closest together. So the buffer thins out evenly
over all places seen, and stays fresh where the camera is; `max_age` drops what is too old to be true.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import cv2
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.camera import Camera
from sray.frames import Frame


@dataclass(frozen=True)
class KeyframeConfig:
    """When a frame becomes a keyframe, and how many are kept."""

    capacity: int = 64
    """Keyframes held at most; each keeps its picture and its features."""
    min_translation: float = 0.10
    """Metres from every keyframe, or ..."""
    min_rotation: float = 10.0
    """... degrees from every keyframe that a frame must have moved. 0 lets every frame in."""
    min_sharpness: float = 5.0
    """Least variance of the Laplacian of the grey picture (0-255) at 320 pixels width; less is blurred."""
    max_age: float = 0.0
    """Seconds behind the newest frame's stamp after which a keyframe leaves; 0: never."""

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"keyframes.capacity is {self.capacity}; expected at least 1")
        for name in ("min_translation", "min_rotation", "min_sharpness", "max_age"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"keyframes.{name} is {getattr(self, name)}; expected 0 or more")


class Verdict(Enum):
    """What the gate says about a frame."""

    ENTERS = "enters"
    TOO_CLOSE = "too close to a keyframe: the camera has neither moved nor turned enough"
    BLURRED = "blurred: below keyframes.min_sharpness"


@dataclass(frozen=True)
class Keyframe:
    """A frame that was kept, with what the encoder made of it."""

    number: int
    """Counts up from 0 as keyframes enter; never reused, so it can name a keyframe to a user."""
    frame: Frame
    features: Float[Tensor, "channels feature_height feature_width"]
    """Encoded once, on the model's device, kept until the keyframe leaves."""

    @property
    def camera(self) -> Camera:
        return self.frame.camera

    @property
    def stamp_ns(self) -> int:
        return self.frame.stamp_ns


def sharpness(image: UInt8[Tensor, "height width 3"]) -> float:
    """Variance of the Laplacian of the grey picture at 320 pixels width, so that one threshold suits all cameras."""
    grey = cv2.cvtColor(image.numpy(), cv2.COLOR_RGB2GRAY)
    if grey.shape[1] > 320:
        height = max(1, round(grey.shape[0] * 320 / grey.shape[1]))
        grey = cv2.resize(grey, (320, height), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def pose_distances(
    pose: Float[Tensor, "4 4"], others: Float[Tensor, "views 4 4"], config: KeyframeConfig
) -> Float[Tensor, " views"]:
    """Distance of one pose to others, in units of the gate: 1 is just far enough to be another keyframe.

    The larger of translation / min_translation and rotation / min_rotation.
    """
    translation = (others[:, :3, 3] - pose[:3, 3]).norm(dim=-1)
    # trace(A^T B) = 1 + 2 cos(angle between the rotations)
    trace = (others[:, :3, :3] * pose[:3, :3]).sum(dim=(-1, -2))
    rotation = torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))
    return torch.maximum(translation / max(config.min_translation, 1e-9), rotation / max(config.min_rotation, 1e-9))


class KeyframeBuffer:
    """At most `capacity` keyframes, oldest first."""

    def __init__(self, config: KeyframeConfig | None = None) -> None:
        self.config = config or KeyframeConfig()
        self.revision = 0
        """Counts changes: keyframes that entered or left, and clearing."""
        self._keyframes: list[Keyframe] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._keyframes)

    def __iter__(self) -> Iterator[Keyframe]:
        return iter(self._keyframes)

    def __getitem__(self, index: int) -> Keyframe:
        return self._keyframes[index]

    @property
    def cameras(self) -> Camera:
        """All cameras as one batch. Raises ValueError when empty."""
        return Camera.stack([keyframe.camera for keyframe in self._keyframes])

    def judge(self, frame: Frame) -> Verdict:
        """Whether the frame should enter. Changes nothing."""
        config = self.config
        if self._keyframes and config.min_translation > 0 and config.min_rotation > 0:
            poses = torch.stack([keyframe.camera.world_from_camera for keyframe in self._keyframes])
            if bool((pose_distances(frame.camera.world_from_camera, poses, config) < 1).any()):
                return Verdict.TOO_CLOSE
        if config.min_sharpness > 0 and sharpness(frame.image) < config.min_sharpness:
            return Verdict.BLURRED
        return Verdict.ENTERS

    def add(self, frame: Frame, features: Float[Tensor, "channels feature_height feature_width"]) -> list[Keyframe]:
        """Keep a frame, whatever `judge` says of it; returns the keyframes that left for it, never the new one."""
        self.revision += 1
        self._keyframes.append(Keyframe(next(self._numbers), frame, features))
        left = []
        while len(self._keyframes) > self.config.capacity:
            left.append(self._keyframes.pop(self._most_redundant()))
        return left

    def expire(self, now_ns: int) -> list[Keyframe]:
        """Let keyframes older than `max_age` leave; returns them."""
        if self.config.max_age <= 0:
            return []
        oldest = now_ns - round(self.config.max_age * 1e9)
        left = [keyframe for keyframe in self._keyframes if keyframe.stamp_ns < oldest]
        if left:
            self._keyframes = [keyframe for keyframe in self._keyframes if keyframe.stamp_ns >= oldest]
            self.revision += 1
        return left

    def clear(self) -> None:
        self._keyframes.clear()
        self.revision += 1

    def _most_redundant(self) -> int:
        """The older one of the closest pair; the pair that has the oldest member first among equals."""
        if len(self._keyframes) == 2:
            return 0
        poses = torch.stack([keyframe.camera.world_from_camera for keyframe in self._keyframes])
        nearest = [
            float(pose_distances(poses[index], poses[index + 1 :], self.config).min())
            for index in range(len(poses) - 1)
        ]
        return nearest.index(min(nearest))
