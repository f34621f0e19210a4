"""MappingWork: what the worker thread does. The only code that touches the model; messages in, messages out."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rclpy.impl.rcutils_logger import RcutilsLogger
from std_msgs.msg import Header

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.errors import ErrorCode, SrayError
from sray.field import RenderedView
from sray.frames import Frame
from sray.mapping.cloud import LabelledCloud
from sray.mapping.mapper import Mapper
from sray.mapping.session import Session
from sray_ros.common.inbox import Inbox, Lane
from sray_ros.common.refusals import beyond_the_map, busy, displaced, explained, inactive
from sray_ros.mapper.frame_reader import FrameReader, camera_of_request
from sray_ros.mapper.health import Health
from sray_ros.mapper.inputs import Arrival
from sray_ros.mapper.jobs import (
    ANSWERED,
    COMMANDS,
    IMAGES,
    LABELS,
    MAP,
    RENDERS,
    REQUESTS,
    VIEWPOINTS,
    Labels,
    Target,
    ViewRequest,
)
from sray_ros.mapper.outputs import Publications
from sray_ros.mapper.parameters import MapperParameters
from sray_ros.mapper.rendering import PacedRenderer

EARLY_LABELS = 30
"""Label images kept until their keyframe enters."""
LEAST_PREVIEWED = 128 * 96
"""Pixels of a view below which a coarse render first would take about as long as the view itself."""
EXPECTED = (ErrorCode.TOO_FEW_VIEWS, ErrorCode.NO_KEYFRAMES, ErrorCode.CANCELED, ErrorCode.STALE)
"""No warnings: the first keyframes cannot be rendered from others, and what is stopped or too late is no fault."""


class MappingWork:
    """One configured model with its keyframes and map. The worker's, but for `leave`, `report` and the constructor."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        path: Path,
        device: torch.device,
        parameters: MapperParameters,
        inbox: Inbox,
        publications: Publications,
        health: Health,
        logger: RcutilsLogger,
        on_handled: Callable[[Header], None],
    ) -> None:
        self.checkpoint = checkpoint
        self.configured_model = path
        """Of the checkpoint that the node was configured with."""
        self.model_file = ""
        """What ~/load_model knows the present model by; empty: the configured one."""
        self.device = device
        self.map_frame = str(parameters["map_frame"])
        self._parameters = parameters
        self._parameters_revision = parameters.revision
        self._render_config = parameters.render_config()
        self._inbox = inbox
        self._publications = publications
        self._health = health
        self._logger = logger
        self._on_handled = on_handled
        self._reader = FrameReader(parameters, self.report, logger.warning)
        self._early_labels: OrderedDict[int, Labels] = OrderedDict()
        self._last_camera: Camera | None = None
        self._last_render = float("-inf")
        self._work_on: dict[Lane, Callable[[Any], None]] = {
            COMMANDS: lambda command: command.do(),
            MAP: publications.map,
            IMAGES: self._add,
            LABELS: self._supervise,
            REQUESTS: self._render_request,
            VIEWPOINTS: self._render_request,
            RENDERS: self._render_target,
        }
        self._renderer = PacedRenderer(checkpoint, device, parameters, health)
        self.engine = self._renderer.engine
        """What renders, in words. Asked for here: compiling is part of configuring, not of the first view."""
        self.mapper = Mapper(self._renderer.field, checkpoint.label_space.classes, parameters.mapper_config())

    @property
    def labels_waiting(self) -> int:
        """Label images whose keyframe has not come (yet)."""
        return len(self._early_labels)

    # --- the inbox's side

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
        elif not self._inbox.is_open and lane in ANSWERED:
            item.refuse(inactive())
        elif lane is COMMANDS:
            item.refuse(busy())
        elif lane in ANSWERED:
            self.report(error := displaced())
            item.refuse(error)

    # --- commands

    def clear(self) -> None:
        """Forget keyframes, labels and map."""
        self.mapper.clear()
        self._early_labels.clear()
        self._publications.keyframes(self.mapper)

    def session(self) -> Session:
        """A snapshot that another thread may save. Raises SrayError NO_KEYFRAMES if there is nothing to save."""
        if not len(self.mapper.keyframes) and not len(self.mapper.map):
            raise SrayError(
                ErrorCode.NO_KEYFRAMES, "there are neither keyframes nor a map to save; move the camera, then save"
            )
        return Session.of(self.mapper, self.checkpoint.id, self.checkpoint.label_space, self.map_frame)

    def map_cloud(self) -> LabelledCloud:
        """The fused map. Raises SrayError NO_KEYFRAMES if it is empty: a good file must not give way to nothing."""
        if not len(self.mapper.map):
            raise SrayError(ErrorCode.NO_KEYFRAMES, "the map is empty; render some views first (trigger), then save")
        return self.mapper.map.to_cloud()

    def restore(self, session: Session) -> None:
        """Go on from a saved session. Raises what its `restore` raises, or INACTIVE; nothing has changed then."""
        if session.frame not in ("", self.map_frame):
            raise SrayError(
                ErrorCode.BAD_FILE,
                f"the session's poses are in frame {session.frame!r}, this node maps in {self.map_frame!r}; expected "
                "the same. Set map_frame to the session's and configure anew",
            )
        with self._stoppable() as stopped:
            session.restore(self.mapper, self.checkpoint.label_space, stopped)
        self._early_labels.clear()
        if len(self.mapper.keyframes):
            self._last_camera = self.mapper.keyframes[len(self.mapper.keyframes) - 1].camera
        self._publications.forget()
        self._publications.keyframes(self.mapper)

    def rehearse(self, frame: Frame, canceled: Callable[[], bool]) -> RenderedView | None:
        """The frame's view from the other keyframes, as the node renders it now; published to nobody.

        None where too few keyframes see it. Raises otherwise as `Mapper.render`, and INACTIVE.
        """
        try:
            with self._stoppable(canceled) as stopped:
                return self._renderer.rehearse(self.mapper, frame, stopped)
        except SrayError as error:
            if error.code in (ErrorCode.TOO_FEW_VIEWS, ErrorCode.NO_KEYFRAMES):
                return None
            raise

    def change_model(
        self,
        checkpoint: Checkpoint,
        file: str,
        canceled: Callable[[], bool] = lambda: False,
        accept: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Render with another model, which ~/load_model knows as `file`; `accept` as `Mapper.change_model` has it.

        Raises SrayError MODEL_MISMATCH for another label space, OUT_OF_MEMORY, INACTIVE, CANCELED; the old model goes
        on then.
        """
        old, old_renderer = self.checkpoint, self._renderer
        if checkpoint.label_space != old.label_space:
            raise SrayError(
                ErrorCode.MODEL_MISMATCH,
                f"the model has label space {checkpoint.label_space.name} ({checkpoint.label_space.classes} classes), "
                f"keyframes and map have {old.label_space.name} ({old.label_space.classes}); expected the same. To "
                "change it set model.path, clean up and configure again",
            )
        renderer = PacedRenderer(checkpoint, self.device, self._parameters, self._health)

        def accepted() -> bool:
            self._renderer = renderer
            return accept()

        is_taken = False
        try:
            with self._stoppable(canceled) as stopped:
                is_taken = self.mapper.change_model(renderer.field, stopped, accepted)
        finally:
            if not is_taken:
                self._renderer = old_renderer
        if is_taken:
            self.checkpoint, self.model_file = checkpoint, file
        return is_taken

    # --- images and labels

    def _add(self, arrival: Arrival) -> None:
        frame = self._reader.frame(arrival)
        self._last_camera = frame.camera
        added = self.mapper.add(frame)
        self._health.judged(added.verdict)
        if added.keyframe is not None or added.left:
            self._publications.keyframes(self.mapper)
        if added.keyframe is not None:
            self._publications.keyframe_image(arrival.image, partial(self._reader.picture, arrival))
            for labels in list(self._early_labels.values()):
                self._supervise(labels)
        if self._is_due(added.keyframe is not None):
            target = Target(self._sized(frame.camera), arrival.image.header, frame.stamp_ns, arrival.since)
            for older in self._inbox.put(RENDERS, target):
                self.leave(RENDERS, older)
        else:
            self._on_handled(arrival.image.header)

    def _supervise(self, labels: Labels) -> None:
        """Labels come later than their image, as a rule; those that are first wait for it."""
        slop_ns = round(self._parameters["sync.slop"] * 1e9)
        self._early_labels.pop(labels.stamp_ns, None)
        picture, held = self._reader.labels(labels.image), len(self.mapper.keyframes)
        if self.mapper.supervise(labels.stamp_ns, picture, slop_ns) is not None:
            self._health.labelled += 1
            if len(self.mapper.keyframes) != held:  # labels count towards model.memory_budget
                self._publications.keyframes(self.mapper)
            return
        self._early_labels[labels.stamp_ns] = labels
        while len(self._early_labels) > EARLY_LABELS:
            self._early_labels.popitem(last=False)

    # --- views

    def _is_due(self, is_keyframe: bool) -> bool:
        trigger, rate = self._parameters["trigger"], self._parameters["render.max_rate"]
        rested = rate <= 0 or time.monotonic() - self._last_render >= 1 / rate
        return rested and (trigger == "timer" or (trigger == "keyframe" and is_keyframe))

    def _render_target(self, target: Target) -> None:
        self._last_render = time.monotonic()
        with self._stoppable() as stopped:
            rendering, _ = self._renderer.render(
                self.mapper, target.camera, target.since, stamp_ns=target.stamp_ns, canceled=stopped
            )
        cloud = self.mapper.cloud_of(rendering.view)
        self._publications.view(target.header, rendering.view, lambda: cloud)
        self._health.published(time.monotonic() - target.since)
        # Who waits for the view does not wait for the map.
        if not self.mapper.map.integrate(cloud) and len(cloud):
            self.report(beyond_the_map(self.mapper.map, cloud))
        self._publications.frustums(rendering)

    def _render_request(self, request: ViewRequest) -> None:
        camera = self._camera_of(request)
        with self._stoppable(request.canceled) as stopped:
            view: dict[str, Any] = {"scale": request.scale, "canceled": stopped, "stamp_ns": request.own_ns}
            is_large = camera.width * camera.height * request.scale**2 >= LEAST_PREVIEWED
            if request.on_preview is not None and is_large and not self._parameters["render.max_latency"]:
                request.on_preview(self._renderer.preview(self.mapper, camera, request.since, **view))
            rendering, effort = self._renderer.render(
                self.mapper, camera, request.since, on_progress=request.on_progress, **view
            )
        request.answer(rendering, effort)
        self._health.published(time.monotonic() - request.since)
        self._publications.frustums(rendering)

    @contextmanager
    def _stoppable(self, canceled: Callable[[], bool] = lambda: False) -> Iterator[Callable[[], bool]]:
        """What long work asks whether to stop: when canceled, and when the node is being deactivated."""

        def stopped() -> bool:
            # Requests that were canceled while they waited are told between two chunks of this render.
            for request in self._inbox.remove_if(REQUESTS, lambda request: request.canceled()):
                request.refuse(SrayError(ErrorCode.CANCELED, "canceled before it was rendered"))
            return canceled() or not self._inbox.is_open

        try:
            yield stopped
        except SrayError as error:
            if error.code is ErrorCode.CANCELED and not canceled():
                raise inactive() from None  # nobody canceled it: the node was deactivated
            raise

    def _camera_of(self, request: ViewRequest) -> Camera:
        if request.info is not None:
            return camera_of_request(request.info, request.map_from_camera)
        if self._last_camera is None:
            raise SrayError(
                ErrorCode.NO_KEYFRAMES,
                "no image has been seen, so there is neither a keyframe nor a camera to render for; expected images "
                "with poses first",
            )
        last = self._last_camera
        return self._sized(Camera.at(request.map_from_camera, last.intrinsics, last.width, last.height))

    def _sized(self, camera: Camera) -> Camera:
        width, height = self._parameters["render.width"], self._parameters["render.height"]
        if not (width or height):
            return camera
        width = width or max(1, round(camera.width * height / camera.height))
        return camera.resized(width, height or max(1, round(camera.height * width / camera.width)))

    # --- model and parameters

    def _apply_parameters(self) -> None:
        if self._parameters_revision == self._parameters.revision:
            return
        self._parameters_revision = self._parameters.revision
        config = replace(self._parameters.mapper_config(), map=self.mapper.config.map)
        before, self._render_config = self._render_config, self._parameters.render_config()
        self._renderer.configure()
        self.mapper.configure(config, self._renderer.field)
        now = self._render_config
        if (now.engine, now.precision) != (before.engine, before.precision):
            self._logger.info(f"from now on rendered by: {self._renderer.engine}")
        if now.min_confidence != before.min_confidence:
            self._publications.label_space(now.min_confidence)

    # --- what goes wrong

    def _try(self, action: Callable[[], None]) -> SrayError | None:
        """Do it; what went wrong is counted and logged, and returned."""
        try:
            action()
        except Exception as failure:
            error = explained(failure, self._logger)
        else:
            return None
        self.report(error)
        return error

    def report(self, error: SrayError) -> None:
        """Count it, and log it if it is news. Any thread."""
        if self._health.refused(error) and self._inbox.is_open:
            # One call site per severity: rclpy refuses a site that changes its mind.
            if error.code in EXPECTED:
                self._logger.info(str(error))
            else:
                self._logger.warning(str(error))
