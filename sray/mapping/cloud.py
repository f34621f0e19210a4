"""Labeled clouds: points with color, class and confidence; from a rendered view, or to a PLY file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8
from torch import Tensor

from sray.field import RenderedView
from sray.files import write_atomically
from sray.label_space import VOID, LabelSpace
from sray.origin import WORLD, Origin

_PROPERTIES = {"<f4": "float", "<f8": "double", "u1": "uchar"}


def ply_point(coordinate: str = "<f4") -> np.dtype[np.void]:
    """One point of a PLY file; `coordinate`: <f4, or <f8 for points 500 m and more from the world's origin."""
    return np.dtype(
        [
            ("x", coordinate), ("y", coordinate), ("z", coordinate),
            ("red", "u1"), ("green", "u1"), ("blue", "u1"),
            ("label", "u1"), ("confidence", "<f4"),
        ]
    )  # fmt: skip


@dataclass(frozen=True)
class LabeledCloud:
    """Points of the world, one row each."""

    points: Float32[np.ndarray, "points 3"]
    """Meters from `origin`, along the world's axes."""
    rgb: UInt8[np.ndarray, "points 3"]
    labels: UInt8[np.ndarray, " points"]
    """Class indices; never VOID."""
    confidence: Float32[np.ndarray, " points"]
    """Probability of the class, 0 to 1."""
    origin: Origin = WORLD
    """Where the points' frame lies in the world (the map frame)."""

    @property
    def world_points(self) -> Float64[np.ndarray, "points 3"]:
        """Meters in the world, in float64: float32 has no place for centimeters beyond some hundred kilometers."""
        return self.points.astype(np.float64) + self.origin

    def relative_to(self, origin: Origin) -> LabeledCloud:
        """The same points in the frame of another origin."""
        if origin == self.origin:
            return self
        points = self.points.astype(np.float64) + self.origin.offset_from(origin)
        return replace(self, points=points.astype(np.float32), origin=origin)

    def __len__(self) -> int:
        return len(self.points)


NO_POINTS = LabeledCloud(
    np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.float32)
)


def cloud_of_view(
    view: RenderedView, stride: int = 1, min_confidence: float = 0.0, max_jump: float = math.inf
) -> LabeledCloud:
    """The labeled pixels of a rendered view as points of its camera's origin, every `stride`-th row and column.

    Pixels that are void, have no depth, or are less confident than `min_confidence` give no point; nor do those at an
    edge where depth jumps by more than the share `max_jump`: they mix both sides, and lie between them. Colors have
    the one exposure of all source views, not the view's own.
    """
    is_known = (view.labels != VOID) & torch.isfinite(view.depth) & (view.depth > 0)
    kept = is_known & (view.confidence >= min_confidence)
    if max_jump < math.inf:
        nearest = -largest_around(torch.where(is_known, -view.depth, -torch.inf))
        farthest = largest_around(torch.where(is_known, view.depth, 0.0))
        kept &= farthest <= (1 + max_jump) * nearest
    kept = kept[::stride, ::stride]
    rows, columns = (stride * torch.nonzero(kept)).unbind(-1)
    pixels = torch.stack([columns, rows], dim=-1).float()
    index = rows * view.camera.width + columns

    def at(part: Tensor) -> Tensor:
        # Picked by index: a mask would be searched again for each part.
        return part.flatten(0, 1).index_select(0, index)

    points = view.camera.center + at(view.depth).unsqueeze(-1) * view.camera.ray_directions(pixels)
    rgb = (at(view.common_color).clamp(0, 1) * 255).round().to(torch.uint8)
    return LabeledCloud(
        points.numpy(), rgb.numpy(), at(view.labels).numpy(), at(view.confidence).numpy(), view.camera.origin
    )


def largest_around(values: Float[Tensor, "height width"]) -> Float[Tensor, "height width"]:
    """Of each pixel and the eight around it. On the CPU."""
    # A fortieth of the time of torch's pooling.
    return torch.from_numpy(cv2.dilate(values.numpy(), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE))


def write_ply(path: Path, cloud: LabeledCloud, label_space: LabelSpace, frame: str = "world") -> None:
    """Write a binary PLY (x y z, red green blue, label, confidence); class names and `frame` as comments.

    Points are in the world (`frame`); as float64 where the cloud has an origin of its own.
    The file appears whole or not at all. Raises FileError; an existing file is kept then.
    """
    is_world = cloud.origin.is_world
    kind = ply_point("<f4" if is_world else "<f8")
    points = cloud.points if is_world else cloud.world_points
    records = np.empty(len(cloud), kind)
    for axis, name in enumerate("xyz"):
        records[name] = points[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        records[name] = cloud.rgb[:, channel]
    records["label"] = cloud.labels
    records["confidence"] = cloud.confidence
    names = "".join(f"comment label {index} {name}\n" for index, name in enumerate(label_space.names))
    properties = "".join(f"property {_PROPERTIES[kind[name].str.lstrip('|')]} {name}\n" for name in kind.names or ())
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment frame {frame}, meters\n{names}"
        f"element vertex {len(cloud)}\n{properties}end_header\n"
    )
    write_atomically(path, header.encode() + records.tobytes())
