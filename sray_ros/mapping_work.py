"""MappingWork: what the worker thread does. The only code that touches the model; messages in, messages out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.errors import ErrorCode, SrayError
from sray.field import SemanticField
from sray.frames import Frame
from sray.mapping.mapper import Mapper, Rendering
from sray.ray_engine import describe_engine
from sray_ros.camera_inputs import Arrival
from sray_ros.conversions import read_depth, read_image
from sray_ros.health import Health
from sray_ros.inbox import Inbox, Lane
from sray_ros.parameters import MapperParameters
from sray_ros.poses import Matrix
from sray_ros.publications import Publications
from sray_ros.rectification import Calibration, Rectifier, check_size, read_camera_info

COMMANDS = Lane("commands", 8)
MAP = Lane("map", 1)
IMAGES = Lane("images", 10, at_once=True)
REQUESTS = Lane("requests", 8)
VIEWPOINTS = Lane("viewpoints", 1)
RENDERS = Lane("renders", 1)
LANES = (COMMANDS, MAP, IMAGES, REQUESTS, VIEWPOINTS, RENDERS)
ANSWERED = (COMMANDS, REQUESTS, VIEWPOINTS)
"""Lanes with somebody at the other end, who is told when an item is given up."""


@dataclass(frozen=True, eq=False)
class Command:
    """Something to do between two views. Whoever waits for it is told: by what `do` does last, or by `refuse`."""

    do: Callable[[], None]
    refuse: Callable[[SrayError], None]


@dataclass(frozen=True, eq=False)
class Target:
    """A view to render because an image came."""

    camera: Camera
    header: Header
    """Of the image: its stamp, its optical frame."""
    stamp_ns: int


@dataclass(frozen=True, eq=False)
class ViewRequest:
    """A view somebody asked for, by topic or by action."""

    map_from_camera: Matrix
    header: Header
    """Stamp as requested, frame of the virtual camera."""
    answer: Callable[[Rendering], None]
    refuse: Callable[[SrayError], None]
    info: CameraInfo | None = None
    """None: the last camera's."""
    scale: float = 1.0
    canceled: Callable[[], bool] = lambda: False
    on_progress: Callable[[float], None] | None = None
    on_preview: Callable[[Rendering], None] | None = None
    """Gets a coarse render first."""


PREVIEW_SCALE = 0.25


class MappingWork:
    """One configured model with its keyframes and map. All methods but the constructor belong to the worker."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        parameters: MapperParameters,
        inbox: Inbox,
        publications: Publications,
        health: Health,
        logger: RcutilsLogger,
        on_handled: Callable[[Header], None],
    ) -> None:
        self.checkpoint = checkpoint
        self._model = checkpoint.model.to(device)
        self._parameters = parameters
        self._parameters_revision = parameters.revision
        self._render_config = parameters.render_config()
        self.engine = describe_engine(self._model, self._render_config)
        """What renders, in words. Asked for here: compiling is part of configuring, not of the first view."""
        self._inbox = inbox
        self._publications = publications
        self._health = health
        self._logger = logger
        self._on_handled = on_handled
        self._rectifier = Rectifier()
        self._last_camera: Camera | None = None
        self._last_render = float("-inf")
        self._work_on: dict[Lane, Callable[[Any], None]] = {
            COMMANDS: lambda command: command.do(),
            MAP: publications.map,
            IMAGES: self._add,
            REQUESTS: self._render_request,
            VIEWPOINTS: self._render_request,
            RENDERS: self._render_target,
        }
        self.mapper = Mapper(
            SemanticField(self._model, self._render_config),
            checkpoint.label_space.classes,
            parameters.mapper_config(),
        )

    def do(self, lane: Lane, items: list[Any]) -> None:
        """Work on what the inbox gave. Raises nothing: what goes wrong is counted, logged, and reported."""
        self._try(self._apply_parameters)
        for item in items:
            if not self._inbox.is_open:
                self.leave(lane, item)
                continue
            error = self._try(partial(self._work_on[lane], item))
            if lane is RENDERS:
                self._on_handled(item.header)
            elif error is not None and lane is IMAGES:
                self.leave(lane, item)
            elif error is not None and lane in ANSWERED:
                item.refuse(error)

    def leave(self, lane: Lane, item: Any) -> None:
        """Say goodbye to an item that will not be worked on. Any thread."""
        if lane is IMAGES:
            self._on_handled(item.image.header)
        elif lane is RENDERS:
            self._on_handled(item.header)
        elif lane in ANSWERED:
            busy = SrayError(ErrorCode.BUSY, "too many requests wait; expected fewer at a time. Ask again later")
            item.refuse(busy if self._inbox.is_open else inactive())

    def clear(self) -> None:
        """Forget keyframes and map."""
        self.mapper.clear()
        self._publications.keyframes(self.mapper)

    def _add(self, arrival: Arrival) -> None:
        frame = self._frame_of(arrival)
        self._last_camera = frame.camera
        added = self.mapper.add(frame)
        self._health.judged(added.verdict)
        if added.keyframe is not None or added.left:
            self._publications.keyframes(self.mapper)
        if self._is_due(added.keyframe is not None):
            target = Target(self._sized(frame.camera), arrival.image.header, frame.stamp_ns)
            for older in self._inbox.put(RENDERS, target):
                self.leave(RENDERS, older)
        else:
            self._on_handled(arrival.image.header)

    def _is_due(self, is_keyframe: bool) -> bool:
        trigger, rate = self._parameters["trigger"], self._parameters["render.max_rate"]
        rested = rate <= 0 or time.monotonic() - self._last_render >= 1 / rate
        return rested and (trigger == "timer" or (trigger == "keyframe" and is_keyframe))

    def _render_target(self, target: Target) -> None:
        self._last_render = time.monotonic()
        rendering = self._render(target.camera, stamp_ns=target.stamp_ns)
        cloud = self.mapper.integrate(rendering.view)
        self._publications.view(target.header, rendering.view, lambda: cloud)
        self._publications.frustums(rendering)

    def _render_request(self, request: ViewRequest) -> None:
        camera = self._camera_of(request)
        if request.on_preview is not None:
            coarse = request.scale * PREVIEW_SCALE
            request.on_preview(self._render(camera, is_preview=True, scale=coarse, canceled=request.canceled))
        rendering = self._render(
            camera, scale=request.scale, canceled=request.canceled, on_progress=request.on_progress
        )
        request.answer(rendering)
        self._publications.frustums(rendering)

    def _render(
        self, camera: Camera, canceled: Callable[[], bool] = lambda: False, is_preview: bool = False, **how: Any
    ) -> Rendering:
        """Render, and stop early when canceled or when the node is being deactivated. A preview does not count."""
        started = self._health.busy_since = time.monotonic()

        def stopped() -> bool:
            # Requests that were canceled while they waited are told between two chunks of this render.
            for request in self._inbox.remove_if(REQUESTS, lambda request: request.canceled()):
                request.refuse(SrayError(ErrorCode.CANCELED, "canceled before it was rendered"))
            return canceled() or not self._inbox.is_open

        try:
            rendering = self.mapper.render(camera, canceled=stopped, **how)
        except SrayError as error:
            if error.code is ErrorCode.CANCELED and not canceled():
                raise inactive() from None  # nobody canceled it: the node was deactivated
            raise
        finally:
            self._health.busy_since = None
        if not is_preview:
            self._health.rendered(time.monotonic() - started)
        return rendering

    def _frame_of(self, arrival: Arrival) -> Frame:
        calibration = read_camera_info(arrival.info, self._parameters["camera.rectified"])
        picture = read_image(arrival.image)
        check_size(calibration, picture)
        camera = Camera(
            torch.from_numpy(calibration.intrinsics).float(),
            torch.from_numpy(arrival.map_from_camera).float(),
            calibration.width,
            calibration.height,
        )
        return Frame(
            torch.from_numpy(self._rectifier.picture(calibration, picture)),
            camera,
            self._depth_of(arrival, calibration, camera),
            stamp_ns=arrival.stamp_ns,
            name=f"image at {arrival.stamp_ns * 1e-9:.3f} s",
        )

    def _depth_of(self, arrival: Arrival, calibration: Calibration, camera: Camera) -> torch.Tensor | None:
        """Depth guides sampling and is never required: one that cannot be used is reported, and done without."""
        if arrival.depth is None:
            return None
        try:
            metres = read_depth(arrival.depth)
            if not metres.size:
                raise SrayError(ErrorCode.BAD_ENCODING, "a depth image has no pixels; expected some, or no image")
        except SrayError as error:
            self._report(error)
            return None
        # Depth comes in the colour camera's frame, at its own size or another of the same shape.
        of_depth = replace(camera, width=metres.shape[1], height=metres.shape[0])
        blank = torch.zeros(*metres.shape, 3, dtype=torch.uint8)
        resized = Frame(blank, of_depth, torch.from_numpy(metres)).resized(camera.width, camera.height)
        assert resized.depth is not None
        return torch.from_numpy(self._rectifier.depth(calibration, resized.depth.numpy()))

    def _camera_of(self, request: ViewRequest) -> Camera:
        pose = torch.from_numpy(request.map_from_camera).float()
        if request.info is not None:
            calibration = read_camera_info(without_lens(request.info), is_rectified=False)
            k = torch.from_numpy(calibration.intrinsics).float()
            return Camera(k, pose, calibration.width, calibration.height)
        if self._last_camera is None:
            raise SrayError(
                ErrorCode.NO_KEYFRAMES,
                "no image has been seen, so there is neither a keyframe nor a camera to render for; expected images "
                "with poses first",
            )
        return self._sized(replace(self._last_camera, world_from_camera=pose))

    def _sized(self, camera: Camera) -> Camera:
        width, height = self._parameters["render.width"], self._parameters["render.height"]
        if not (width or height):
            return camera
        width = width or max(1, round(camera.width * height / camera.height))
        return camera.resized(width, height or max(1, round(camera.height * width / camera.width)))

    def _apply_parameters(self) -> None:
        if self._parameters_revision == self._parameters.revision:
            return
        self._parameters_revision = self._parameters.revision
        config = replace(self._parameters.mapper_config(), map=self.mapper.config.map)
        before, self._render_config = self._render_config, self._parameters.render_config()
        self.mapper.configure(config, SemanticField(self._model, self._render_config))
        now = self._render_config
        if (now.engine, now.precision) != (before.engine, before.precision):
            self.engine = describe_engine(self._model, now)
            self._logger.info(f"from now on rendered by: {self.engine}")
        if self._render_config.min_confidence != before.min_confidence:
            self._publications.label_space(self._render_config.min_confidence)

    def _try(self, action: Callable[[], None]) -> SrayError | None:
        """Do it; what went wrong is counted and logged, and returned."""
        try:
            action()
        except SrayError as known:
            error = known
        except Exception as unknown:
            self._logger.error(f"a bug, please report it:\n{traceback.format_exc()}")
            error = SrayError(ErrorCode.INTERNAL, f"{unknown!r}; please report it with the log")
        else:
            return None
        self._report(error)
        return error

    def _report(self, error: SrayError) -> None:
        # The first keyframes cannot be rendered from others, and a stopped render is no fault: neither is a warning.
        expected = (ErrorCode.TOO_FEW_VIEWS, ErrorCode.NO_KEYFRAMES, ErrorCode.CANCELED)
        if self._health.refused(error) and self._inbox.is_open:
            # One call site per severity: rclpy refuses a site that changes its mind.
            if error.code in expected:
                self._logger.info(str(error))
            else:
                self._logger.warning(str(error))


def inactive() -> SrayError:
    return SrayError(ErrorCode.INACTIVE, "the node is not active; configure and activate it, then ask again")


def without_lens(info: CameraInfo) -> CameraInfo:
    """The pinhole part of a requested camera: a rendered view has no lens."""
    pinhole = CameraInfo(header=info.header, width=info.width, height=info.height)
    pinhole.k = info.k
    return pinhole
