"""Views: rendered for the camera of an image that came, or for a viewpoint that somebody asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from sray.camera import Camera
from sray.errors import NoViewsError, SrayError
from sray.frames import Frame
from sray.mapping.mapper import Rendering
from sray_ros.common.poses import Matrix
from sray_ros.common.refusals import beyond_the_map
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.frame_reader import camera_of_request
from sray_ros.mapper.outputs import Publications
from sray_ros.mapper.pacing import Effort
from sray_ros.mapper.scene import Scene

LEAST_PREVIEWED = 128 * 96
"""Pixels of a view below which a coarse render first would take about as long as the view itself."""


@dataclass(frozen=True, eq=False)
class Target:
    """A view to render because an image came."""

    camera: Camera
    header: Header
    """Of the image: its stamp, its optical frame."""
    stamp_ns: int
    since: float
    """Steady seconds: when the image came."""


@dataclass(frozen=True, eq=False)
class ViewRequest:
    """A view that somebody asked for, by topic or by action."""

    map_from_camera: Matrix
    header: Header
    """Stamp as requested, frame of the virtual camera."""
    answer: Callable[[Rendering, Effort], None]
    """Gets the view, and how well it was rendered."""
    refuse: Callable[[SrayError], None]
    info: CameraInfo | None = None
    """None: the last camera's."""
    scale: float = 1.0
    own_ns: int | None = None
    """Stamp of a keyframe that is no source (unless `views.include_own`)."""
    canceled: Callable[[], bool] = lambda: False
    on_progress: Callable[[float], None] | None = None
    on_preview: Callable[[Rendering], None] | None = None
    """Gets a coarse render first."""
    since: float = field(default_factory=time.monotonic)
    """Steady seconds: when it was asked for."""


class Views:
    """Belongs to the worker."""

    def __init__(self, context: MapperContext, scene: Scene, publications: Publications) -> None:
        self._context = context
        self._scene = scene
        self._publications = publications
        self._last_render = float("-inf")

    def target_of(self, frame: Frame, is_keyframe: bool, header: Header, since: float) -> Target | None:
        """What to render for an image that came; None if `trigger` or `render.max_rate` say that nothing is due."""
        settings = self._context.settings
        rate = settings.render.max_rate
        if rate > 0 and time.monotonic() - self._last_render < 1 / rate:
            return None
        if settings.trigger == "timer" or (settings.trigger == "keyframe" and is_keyframe):
            return Target(self._sized(frame.camera), header, frame.stamp_ns, since)
        return None

    def render_target(self, target: Target) -> None:
        """Render, publish, and fuse into the map. Raises SrayError as `PacedRenderer.render`, and InactiveError."""
        mapper = self._scene.mapper
        self._last_render = time.monotonic()
        with self._context.worker.stoppable() as stopped:
            rendering, _ = self._scene.renderer.render(
                mapper, target.camera, target.since, stamp_ns=target.stamp_ns, canceled=stopped
            )
        cloud = mapper.cloud_of(rendering.view)
        self._publications.view(target.header, rendering.view, lambda: cloud)
        self._context.health.published(time.monotonic() - target.since)
        # After the view: whoever waits for it need not wait for the map.
        if not mapper.fuse(rendering.view, cloud) and len(cloud):
            self._context.report(beyond_the_map(mapper.map, cloud))
        self._publications.frustums(rendering)

    def render_request(self, request: ViewRequest) -> None:
        """Render and answer. Raises SrayError as `PacedRenderer.render`, CalibrationError, NoViewsError,
        InactiveError."""
        mapper, renderer, camera = self._scene.mapper, self._scene.renderer, self._camera_of(request)
        with self._context.worker.stoppable(request.canceled) as stopped:
            view: dict[str, Any] = {"scale": request.scale, "canceled": stopped, "stamp_ns": request.own_ns}
            is_large = camera.width * camera.height * request.scale**2 >= LEAST_PREVIEWED
            is_in_time = not self._context.settings.render.max_latency  # with a bound there is no time for both
            if request.on_preview is not None and is_large and is_in_time:
                request.on_preview(renderer.preview(mapper, camera, request.since, **view))
            rendering, effort = renderer.render(mapper, camera, request.since, on_progress=request.on_progress, **view)
        request.answer(rendering, effort)
        self._context.health.published(time.monotonic() - request.since)
        self._publications.frustums(rendering)

    def publish_map(self) -> None:
        """If it has changed and somebody listens."""
        self._publications.map(self._scene.mapper)

    def _camera_of(self, request: ViewRequest) -> Camera:
        if request.info is not None:
            is_rectified = self._context.settings.camera.rectified
            return camera_of_request(request.info, request.map_from_camera, is_rectified=is_rectified)
        last = self._scene.frames.last_camera
        if last is None:
            raise NoViewsError(
                "no image has been seen, so there is neither a keyframe nor a camera to render for",
                "images with poses first",
            )
        return self._sized(Camera.at(request.map_from_camera, last.intrinsics, last.width, last.height))

    def _sized(self, camera: Camera) -> Camera:
        """With `render.width` and `render.height`, where they are set."""
        width, height = self._context.settings.render.width, self._context.settings.render.height
        if not (width or height):
            return camera
        width = width or max(1, round(camera.width * height / camera.height))
        return camera.resized(width, height or max(1, round(camera.height * width / camera.width)))
