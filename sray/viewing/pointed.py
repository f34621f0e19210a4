"""What a viewer says of a pixel that somebody clicks on: class, probability, distance, and which keyframes saw it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.field import RenderedView
from sray.label_space import VOID, LabelSpace
from sray.viewing.source import ShownKeyframe

TOLERANCE = 0.1
"""A keyframe whose depth is less than the point's by more than this share of it has something in front of it."""


@dataclass(frozen=True)
class Pointed:
    """A pixel of a rendered view."""

    name: str
    """Of its class; "" where nothing is known."""
    probability: float
    distance: float
    """Meters from the camera, along the ray; NaN where nothing is known."""
    point: Float[Tensor, " 3"] | None
    """In the frame of the view's camera, meters."""
    seen_by: tuple[int, ...] = ()
    """Keyframes in whose picture the point is, and, where they have depth, not hidden."""
    is_certain: bool = False
    """All keyframes have depth: none of `seen_by` has something in front of the point."""


def pointed_at(
    view: RenderedView,
    screen: tuple[float, float],
    space: LabelSpace,
    keyframes: Sequence[ShownKeyframe],
    depth_of: Callable[[int], Float[Tensor, "height width"] | None],
) -> Pointed:
    """`screen`: from the picture's upper left corner, 0 to 1 to the right and down."""
    camera = view.camera
    column = min(camera.width - 1, max(0, int(screen[0] * camera.width)))
    row = min(camera.height - 1, max(0, int(screen[1] * camera.height)))
    label, depth = int(view.labels[row, column]), float(view.depth[row, column])
    if label == VOID or depth != depth:
        return Pointed("", 0.0, float("nan"), None)
    direction = camera.ray_directions(torch.tensor([[float(column), float(row)]]))[0]
    point = camera.center + depth * direction
    return Pointed(
        space.names[label],
        float(view.confidence[row, column]),
        depth * float(direction.norm()),
        point,
        tuple(
            keyframe.number
            for keyframe in keyframes
            if _sees(keyframe, keyframe.camera.relative_to(camera.origin), point, depth_of)
        ),
        all(keyframe.has_depth for keyframe in keyframes),
    )


def in_words(pointed: Pointed, sources: Sequence[int]) -> str:
    """Markdown: what was pointed at."""
    if not pointed.name:
        return "Nothing is known of this pixel: too few keyframes see it, or they disagree."
    others = [str(number) for number in pointed.seen_by if number not in sources]
    used = [f"**{number}**" for number in pointed.seen_by if number in sources]
    seen = ", ".join([*used, *others]) or "none"
    return (
        f"**{pointed.name}**, probability {pointed.probability:.2f}, {pointed.distance:.2f} m away.  \n"
        f"{'Seen by keyframes' if pointed.is_certain else 'Within the pictures of keyframes'} {seen} "
        "(bold: rendered from)."
    )


def _sees(
    keyframe: ShownKeyframe,
    camera: Camera,
    point: Float[Tensor, " 3"],
    depth_of: Callable[[int], Float[Tensor, "height width"] | None],
) -> bool:
    projection = camera.project(point[None])
    if not bool(projection.seen[0]):
        return False
    depth = depth_of(keyframe.number) if keyframe.has_depth else None
    if depth is None:
        return True
    column, row = (int(value) for value in projection.pixels[0].round())
    height, width = depth.shape
    measured = float(depth[min(row, height - 1), min(column, width - 1)])
    return not measured < (1 - TOLERANCE) * float(projection.depth[0])  # NaN: the sensor does not know, nor do we
