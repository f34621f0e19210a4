"""Which keyframes a view is rendered from, and what they know of the surfaces in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.errors import NoViewsError, TooFewViewsError
from sray.frames import SourceViews
from sray.mapping.keyframes import Keyframe, KeyframeBuffer
from sray.mapping.mapper_config import ViewsConfig
from sray.origin import Origin
from sray.sampling import Bounds
from sray.view_selection import nearest_views, select_views

MIN_OVERLAP = 0.02
"""A source that sees less of the target's frustum than this adds nothing but cost."""
SCENE_VIEWS = 64
"""Keyframes, the nearest by pose, whose depth tells near and far. Those of the next room would only push `far` out: a
projection knows nothing of the wall between. And thousands of them would keep each render waiting."""


def choose_sources(
    camera: Camera, keyframes: KeyframeBuffer, config: ViewsConfig, stamp_ns: int | None, bounds: Bounds
) -> list[Keyframe]:
    """The keyframes to render a camera's view from, best first. `stamp_ns` names the target's own frame.

    Raises NoViewsError if there is no keyframe, TooFewViewsError if fewer than `config.min` see part of the view.
    """
    if not len(keyframes):
        raise NoViewsError(
            "there are no keyframes to render from",
            f"at least {config.min}",
            "Move the camera while images and poses arrive",
        )
    own = None if config.include_own or stamp_ns is None else keyframes.stamps_ns == stamp_ns
    indices = select_views(
        camera,
        keyframes.cameras,
        config.count,
        own,
        bounds=bounds,
        min_overlap=MIN_OVERLAP,
        selection=config.selection,
    )
    if len(indices) < config.min:
        raise TooFewViewsError(
            f"{len(indices)} of {len(keyframes)} keyframes can serve as sources for this view",
            f"at least {config.min} that see part of it",
            "Move the camera around the place, lower views.min, or let more keyframes be held "
            "(keyframes.capacity, model.memory_budget)",
        )
    return [keyframes[index] for index in indices]


def source_views(keyframes: Sequence[Keyframe], *, has_stereo: bool) -> SourceViews:
    """Keyframes as source views, with what is known of their surfaces.

    A model with stereo sweeps views that come without depth at every render. Keyframes are swept once, when they
    enter, or not at all: their views come with depth, unknown if need be.
    """
    views = SourceViews.from_frames([keyframe.frame for keyframe in keyframes])
    surfaces = [keyframe.surface for keyframe in keyframes]
    if not has_stereo and all(surface is None for surface in surfaces):
        return views
    unknown = torch.full((views.camera.height, views.camera.width), torch.nan)
    depths = [unknown if surface is None else surface[0] for surface in surfaces]
    confidences = [torch.zeros_like(unknown) if surface is None else surface[1] for surface in surfaces]
    return replace(views, depth=torch.stack(depths), depth_confidence=torch.stack(confidences))


def depths_seen_from(camera: Camera, keyframes: KeyframeBuffer) -> Float[Tensor, " points"]:
    """Depths in the camera of what the keyframes around it measured, a few hundred points of each."""
    if not len(keyframes):
        return torch.zeros(0)
    around = nearest_views(camera, keyframes.cameras, SCENE_VIEWS)
    points = [_relative_to(camera.origin, keyframes[index]) for index in around]
    projection = camera.project(torch.cat(points))
    return projection.depth[projection.seen]


def _relative_to(origin: Origin, keyframe: Keyframe) -> Float[Tensor, "points 3"]:
    """Its scene points, in the frame of another origin."""
    points = keyframe.scene_points
    if keyframe.camera.origin == origin:
        return points
    return points + torch.from_numpy(keyframe.camera.origin.offset_from(origin)).to(points)
