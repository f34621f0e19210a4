"""Labelled clouds: world points with colour, class and confidence; from a rendered view, or to a PLY file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from sray.field import RenderedView
from sray.files import write_atomically
from sray.label_space import VOID, LabelSpace

PLY_POINT = np.dtype(
    [
        ("x", "<f4"), ("y", "<f4"), ("z", "<f4"),
        ("red", "u1"), ("green", "u1"), ("blue", "u1"),
        ("label", "u1"), ("confidence", "<f4"),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class LabelledCloud:
    """Points of the world, one row each."""

    points: Float32[np.ndarray, "points 3"]
    """Metres, in the world (the map frame)."""
    rgb: UInt8[np.ndarray, "points 3"]
    labels: UInt8[np.ndarray, " points"]
    """Class indices; never VOID."""
    confidence: Float32[np.ndarray, " points"]
    """Probability of the class, 0 to 1."""

    def __len__(self) -> int:
        return len(self.points)


def cloud_of_view(view: RenderedView, stride: int = 1, min_confidence: float = 0.0) -> LabelledCloud:
    """The labelled pixels of a rendered view as world points, every `stride`-th row and column.

    Pixels that are void, have no depth, or are less confident than `min_confidence` give no point.
    """
    labels, depth, confidence = (part[::stride, ::stride] for part in (view.labels, view.depth, view.confidence))
    kept = (labels != VOID) & torch.isfinite(depth) & (depth > 0) & (confidence >= min_confidence)
    rows, columns = (stride * torch.nonzero(kept)).unbind(-1)
    pixels = torch.stack([columns, rows], dim=-1).float()
    index = rows * view.camera.width + columns

    def at(part: Tensor) -> Tensor:
        # Picked by index: a mask would be searched again for each part.
        return part.flatten(0, 1).index_select(0, index)

    points = view.camera.centre + at(view.depth).unsqueeze(-1) * view.camera.ray_directions(pixels)
    rgb = (at(view.color).clamp(0, 1) * 255).round().to(torch.uint8)
    return LabelledCloud(points.numpy(), rgb.numpy(), at(view.labels).numpy(), at(view.confidence).numpy())


def write_ply(path: Path, cloud: LabelledCloud, label_space: LabelSpace) -> None:
    """Write a binary PLY (x y z, red green blue, label, confidence), class names as comments.

    The file appears whole or not at all. Raises SrayError: DISK_FULL, BAD_FILE; an existing file is kept then.
    """
    records = np.empty(len(cloud), PLY_POINT)
    for axis, name in enumerate("xyz"):
        records[name] = cloud.points[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        records[name] = cloud.rgb[:, channel]
    records["label"] = cloud.labels
    records["confidence"] = cloud.confidence
    names = "".join(f"comment label {index} {name}\n" for index, name in enumerate(label_space.names))
    header = (
        f"ply\nformat binary_little_endian 1.0\n{names}element vertex {len(cloud)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        "property uchar label\nproperty float confidence\nend_header\n"
    )
    write_atomically(path, header.encode() + records.tobytes())
