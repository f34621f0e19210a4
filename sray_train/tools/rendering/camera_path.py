"""Paths through a scene: where it was recorded from, or a smooth flight between those places."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sray.camera import Camera
from sray.errors import TooFewViewsError
from sray.field import RenderedView, SemanticField
from sray.frames import SourceViews
from sray.view_selection import select_views
from sray.viewing.camera_path import interpolated
from sray_train.data.scene import Scene

KEPT_FEATURES = 64
"""Frames whose features are kept: several times what one picture needs, and bounded in a long recording."""


@dataclass(frozen=True)
class Stop:
    """One place on a path."""

    camera: Camera
    own: int | None
    """The frame that was recorded exactly here, if any."""


def recorded_path(scene: Scene) -> list[Stop]:
    """Every frame's own camera, in order."""
    return [Stop(scene.cameras[index], index) for index in range(len(scene.frames))]


def fly_through(scene: Scene, between: int) -> list[Stop]:
    """The recorded cameras with `between` more from each to the next, evenly in time.

    Smooth in position, the shortest arc in rotation; the recorded cameras themselves are taken over exactly.
    Raises TooFewViewsError if there are fewer than two frames, ValueError if `between` is negative.
    """
    if between < 0:
        raise ValueError(f"{between} frames between; expected 0 or more")
    count = len(scene.frames)
    if count < 2:
        raise TooFewViewsError(f"{scene.name} has {count} usable frame", "at least 2 to fly between")
    return [
        Stop(camera, number // (between + 1) if number % (between + 1) == 0 else None)
        for number, camera in enumerate(interpolated(scene.cameras, between))
    ]


class PathRenderer:
    """Renders places in a scene, each from the frames that see most of the same; a frame is encoded once."""

    def __init__(
        self, field: SemanticField, scene: Scene, views: int, *, depth: bool = False, include_own: bool = False
    ) -> None:
        """`depth`: the sources' depth guides the samples (RGB-D). `include_own`: a frame may be a source of itself."""
        self._field = field
        self._scene = scene
        self._views = views
        self._depth = depth
        self._include_own = include_own
        self._features: OrderedDict[int, Tensor] = OrderedDict()

    def sources(self, stop: Stop) -> list[int]:
        """The frames to render from, best first. Raises TooFewViewsError if there is none."""
        excluded = torch.zeros(len(self._scene.frames), dtype=torch.bool)
        if stop.own is not None and not self._include_own:
            excluded[stop.own] = True
        cameras, bounds = self._scene.cameras, self._scene.bounds
        chosen = select_views(stop.camera, cameras, self._views, excluded, bounds=bounds)
        if not chosen:
            raise TooFewViewsError(
                f"{self._scene.name} has no frame to render from but the picture itself",
                "at least 2 frames, or --include-own",
            )
        return chosen

    def render(self, stop: Stop, scale: float = 1.0) -> RenderedView:
        """What a camera there would see, at `scale` times the sources' size."""
        chosen = self.sources(stop)
        sources = SourceViews.from_frames([self._scene.frames[index] for index in chosen])
        self._field.set_sources(
            sources if self._depth else replace(sources, depth=None),
            torch.stack([self._encoded(index) for index in chosen]),
            self._scene.bounds,
        )
        return self._field.render(stop.camera, scale=scale)

    def _encoded(self, index: int) -> Tensor:
        if index not in self._features:
            self._features[index] = self._field.encode(self._scene.frames[index].image, self._scene.cameras[0])
        self._features.move_to_end(index)
        while len(self._features) > max(KEPT_FEATURES, self._views):
            self._features.popitem(last=False)
        return self._features[index]
