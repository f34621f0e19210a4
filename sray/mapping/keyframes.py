"""Keyframes: which frames are worth keeping, and which leave when the buffer is full.

A frame enters if it is sharp and the camera has moved or turned far enough from *every* keyframe held, not only from
the last one: a robot that comes back does not fill the buffer with what it already has. When the buffer is full the
most redundant keyframe leaves: the older one of the two that lie closest together. So the buffer thins out evenly
over all places seen, and stays fresh where the camera is; `max_age` drops what is too old to be true. Full is a buffer
of `capacity` keyframes, or of `memory_budget` bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

import cv2
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from sray.camera import Camera
from sray.frames import TRUSTED, Frame
from sray.mapping.keyframe_poses import KeyframePoses, Rows
from sray.stereo import StereoDepth
from sray.stereo.found import FoundDepth
from sray.stereo.network import MatchingFeatures
from sray.stereo.surfaces import merged_cells, merged_depth

MIB = 1 << 20


@dataclass(frozen=True)
class KeyframeConfig:
    """When a frame becomes a keyframe, and how many are kept."""

    capacity: int = 64
    """Keyframes held at most; each keeps its picture and its features."""
    memory_budget: int = 0
    """MiB of pictures, depth, labels and features held at most, the newest keyframe always; 0: no limit."""
    min_translation: float = 0.10
    """Meters from every keyframe, or ..."""
    min_rotation: float = 10.0
    """... degrees from every keyframe that a frame must have moved. 0 lets every frame in."""
    min_sharpness: float = 5.0
    """Least variance of the Laplacian of the gray picture (0-255) at 320 pixels width; less is blurred."""
    max_age: float = 0.0
    """Seconds behind the newest frame's stamp after which a keyframe leaves; 0: never."""

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"keyframes.capacity is {self.capacity}; expected at least 1")
        for name in ("memory_budget", "min_translation", "min_rotation", "min_sharpness", "max_age"):
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
    """Counts up from 0 as keyframes enter; until a session is loaded it names one keyframe, and no other after it."""
    frame: Frame
    features: Float[Tensor, "channels feature_height feature_width"]
    """Encoded once, on the model's device, kept until the keyframe leaves."""
    matching: MatchingFeatures | None = None
    """What stereo matches with, for the sweeps of others; None without a stereo network."""
    stereo: FoundDepth | None = None
    """Depth from its partners; None until it had some."""
    labels_apart_ns: int = 0
    """Between its stamp and its labels'."""

    @property
    def camera(self) -> Camera:
        return self.frame.camera

    @property
    def stamp_ns(self) -> int:
        return self.frame.stamp_ns

    @property
    def bytes(self) -> int:
        """Of picture, depth, labels, features and what stereo keeps."""
        parts = (self.frame.image, self.frame.depth, self.frame.labels, self.features, self.matching, self.stereo)
        return sum(part.nbytes for part in parts if part is not None)

    @property
    def seen_depth(self) -> StereoDepth | None:
        """Depth that other keyframes are compared with: measured, else from its own sweep; None: neither."""
        swept = None if self.stereo is None else self.stereo.swept
        if self.frame.depth is None:
            return swept
        return merged_cells(self.frame.depth.to(self.features.device), swept)

    @property
    def surface(self) -> tuple[Float[Tensor, "height width"], Float[Tensor, "height width"]] | None:
        """Depth (camera z, meters; NaN where unknown) and its confidence: measured, else from stereo; None: neither.

        Merged at every call: kept, it would take more memory than picture and features.
        """
        if self.frame.depth is None and self.stereo is None:
            return None
        return merged_depth(self.frame.depth, None if self.stereo is None else self.stereo.agreed, self.camera)

    @cached_property
    def scene_points(self) -> Float[Tensor, "points 3"]:
        """Points, meters from the camera's origin, of a coarse grid of the surface; none where it is not trusted."""
        surface = self.surface
        if surface is None:
            return torch.zeros(0, 3)
        camera = self.camera
        stride = max(1, camera.width // 24)
        depth, confidence = (part[::stride, ::stride] for part in surface)
        kept = torch.isfinite(depth) & (depth > 0) & (confidence >= TRUSTED)
        rows, columns = torch.nonzero(kept, as_tuple=True)
        pixels = torch.stack([columns, rows], dim=-1).float() * stride
        return camera.center + depth[kept].unsqueeze(-1) * camera.ray_directions(pixels)


def sharpness(image: UInt8[Tensor, "height width 3"]) -> float:
    """Variance of the Laplacian of the gray picture at 320 pixels width, so that one threshold suits all cameras."""
    gray = cv2.cvtColor(image.numpy(), cv2.COLOR_RGB2GRAY)
    if gray.shape[1] > 320:
        height = max(1, round(gray.shape[0] * 320 / gray.shape[1]))
        gray = cv2.resize(gray, (320, height), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(gray, cv2.CV_64F).var())


class KeyframeBuffer:
    """Keyframes of one size, oldest first, at most `capacity` and `memory_budget`."""

    def __init__(self, config: KeyframeConfig | None = None) -> None:
        self._config = config or KeyframeConfig()
        self.revision = 0
        """Counts changes: keyframes that entered, left or changed, and clearing."""
        self.next_number = 0
        """Of the next keyframe; above all that ever were."""
        self._keyframes: list[Keyframe] = []
        self._poses = KeyframePoses(self.config.min_translation, self.config.min_rotation)
        self._stamps_ns = Rows(dtype=torch.int64)
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._keyframes)

    def __iter__(self) -> Iterator[Keyframe]:
        return iter(self._keyframes)

    def __getitem__(self, index: int) -> Keyframe:
        return self._keyframes[index]

    @property
    def config(self) -> KeyframeConfig:
        return self._config

    @config.setter
    def config(self, config: KeyframeConfig) -> None:
        """Holds from the next frame on."""
        self._config = config
        self._poses.set_units(config.min_translation, config.min_rotation)

    @property
    def cameras(self) -> Camera:
        """All cameras as one batch, for use at once: it changes with the keyframes. Raises ValueError when empty."""
        return self._poses.cameras

    @property
    def stamps_ns(self) -> Int64[Tensor, " views"]:
        """Stamps of all frames; for use at once, as `cameras`."""
        return self._stamps_ns.all

    @property
    def bytes(self) -> int:
        """Of all pictures, depth, labels and features."""
        return self._bytes

    def judge(self, frame: Frame) -> Verdict:
        """Whether the frame should enter. Changes nothing."""
        config = self.config
        if (
            config.min_translation > 0
            and config.min_rotation > 0
            and bool((self._poses.distances(frame.camera) < 1).any())
        ):
            return Verdict.TOO_CLOSE
        if config.min_sharpness > 0 and sharpness(frame.image) < config.min_sharpness:
            return Verdict.BLURRED
        return Verdict.ENTERS

    def add(self, frame: Frame, features: Float[Tensor, "channels feature_height feature_width"]) -> list[Keyframe]:
        """Keep a frame, whatever `judge` says of it; returns the keyframes that left for it, never the new one.

        Raises ValueError, and keeps nothing, if the frame is of another size than the keyframes held.
        """
        return self.enter(Keyframe(self.next_number, frame, features))

    def enter(self, keyframe: Keyframe) -> list[Keyframe]:
        """As `add`, for a keyframe that has a number already: of a buffer that was saved.

        Raises ValueError, and keeps nothing, if there was that number, or a higher one, in this buffer before.
        """
        if keyframe.number < self.next_number:
            raise ValueError(f"the keyframe has number {keyframe.number}; expected {self.next_number} or more")
        self._poses.append(keyframe.camera)
        self.revision += 1
        self.next_number = keyframe.number + 1
        self._keyframes.append(keyframe)
        self._stamps_ns.append(keyframe.stamp_ns)
        self._bytes += keyframe.bytes
        return self.thin()

    def nearest_in_time(self, stamp_ns: int) -> int | None:
        """Index of the keyframe whose stamp is nearest, the newest one among equals; None when there is none."""
        if not len(self):
            return None
        distances = (self.stamps_ns - stamp_ns).abs()
        return len(self) - 1 - int(distances.flip(0).argmin())

    def awaiting_labels(self, stamp_ns: int, slop_ns: int) -> int | None:
        """Index of the keyframe that labels of this stamp are for; None: none is near, or the nearest has better."""
        if (index := self.nearest_in_time(stamp_ns)) is None:
            return None
        keyframe = self._keyframes[index]
        most_ns = slop_ns if keyframe.frame.labels is None else min(slop_ns, keyframe.labels_apart_ns)
        return index if abs(keyframe.stamp_ns - stamp_ns) <= most_ns else None

    def label(self, index: int, labels: UInt8[Tensor, "height width"], apart_ns: int = 0) -> Keyframe:
        """Give a keyframe a label image of its size; returns what it now is. What then exceeds the budget leaves."""
        frame = replace(self._keyframes[index].frame, labels=labels)
        new = self.update(index, frame=frame, labels_apart_ns=apart_ns)
        self.thin()
        return new

    def update(self, index: int, **changes: Any) -> Keyframe:
        """Give a keyframe other fields, but for its number, camera and stamp; returns what it now is."""
        old = self._keyframes[index]
        new = replace(old, **changes)
        self._keyframes[index] = new
        self._bytes += new.bytes - old.bytes
        self.revision += 1
        return new

    def replace_features(self, features: Sequence[Float[Tensor, "channels feature_height feature_width"]]) -> None:
        """Give every keyframe other features, in their order. Raises ValueError unless there is one for each."""
        pairs = zip(self._keyframes, features, strict=True)
        self.exchange([replace(keyframe, features=each) for keyframe, each in pairs])

    def exchange(self, keyframes: Sequence[Keyframe]) -> None:
        """Hold other versions of the same keyframes, in their order. Raises ValueError if they have other numbers."""
        if [each.number for each in keyframes] != [each.number for each in self]:
            raise ValueError("the keyframes have other numbers; expected those of the buffer, in its order")
        self.revision += any(now is not then for now, then in zip(self, keyframes, strict=True))
        self._keyframes = list(keyframes)
        self._bytes = sum(keyframe.bytes for keyframe in keyframes)

    def expire(self, now_ns: int) -> list[Keyframe]:
        """Let keyframes older than `max_age` leave; returns them."""
        if self.config.max_age <= 0:
            return []
        stays = self.stamps_ns >= now_ns - round(self.config.max_age * 1e9)
        if bool(stays.all()):
            return []
        self.revision += 1
        return self._keep(stays)

    def clear(self) -> None:
        self._keep(torch.zeros(len(self), dtype=torch.bool))
        self.revision += 1

    def _is_too_full(self) -> bool:
        budget = self.config.memory_budget * MIB
        return len(self) > 1 and (len(self) > self.config.capacity or 0 < budget < self._bytes)

    def thin(self) -> list[Keyframe]:
        """Let the most redundant leave until it is not too full, after `update` made keyframes larger; returns them."""
        left = []
        while self._is_too_full():
            stays = torch.ones(len(self), dtype=torch.bool)
            stays[self._poses.most_redundant()] = False
            left += self._keep(stays)
        return left

    def _keep(self, stays: Bool[Tensor, " views"]) -> list[Keyframe]:
        """Let all others leave; returns them."""
        left = [self._keyframes[index] for index in torch.nonzero(~stays)[:, 0].tolist()]
        self._keyframes = [keyframe for keyframe, kept in zip(self._keyframes, stays.tolist(), strict=True) if kept]
        self._stamps_ns.keep(stays)
        self._poses.keep(stays)
        self._bytes -= sum(keyframe.bytes for keyframe in left)
        return left
