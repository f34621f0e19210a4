"""Frames: images enter the mapper as frames, some become keyframes, and labels meet their keyframe by stamp."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from sensor_msgs.msg import Image

from sray.camera import Camera
from sray.errors import ModelError, SrayError
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.mapping.mapper import Mapper
from sray_ros.common.conversions import nanoseconds
from sray_ros.common.label_infos import first_difference
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.frame_reader import FrameReader
from sray_ros.mapper.inputs import Arrival
from sray_ros.mapper.outputs import Publications

EARLY_LABELS = 30
"""Label images that are kept until their keyframe enters."""


class Frames:
    """Belongs to the worker."""

    def __init__(
        self, context: MapperContext, mapper: Mapper, label_space: LabelSpace, publications: Publications
    ) -> None:
        self._context = context
        self._mapper = mapper
        self._class_names = dict(enumerate(label_space.names))
        self._publications = publications
        self._reader = FrameReader(context.parameters, context.report, context.logger.warning)
        self._early_labels: OrderedDict[int, Image] = OrderedDict()
        """By stamp, nanoseconds."""
        self.last_camera: Camera | None = None
        """Of the last image: what a viewpoint is rendered for."""

    @property
    def labels_waiting(self) -> int:
        """Label images whose keyframe has not come (yet)."""
        return len(self._early_labels)

    def add(self, arrival: Arrival) -> tuple[Frame, bool]:
        """The frame of an image, and whether it became a keyframe. Raises SrayError as `FrameReader.frame`."""
        frame = self._reader.frame(arrival)
        self.last_camera = frame.camera
        added = self._mapper.add(frame)
        self._context.health.judged(added.verdict)
        if added.without_depth is not None:
            self._context.report(added.without_depth)
        is_keyframe = added.keyframe is not None
        if is_keyframe or added.left:
            self._publications.keyframes(self._mapper)
        if is_keyframe:
            self._publications.keyframe_image(arrival.image, partial(self._reader.picture, arrival))
            self._supervise_early()
        return frame, is_keyframe

    def supervise(self, labels: Image) -> None:
        """Give labels to their keyframe. Most come later than their image; early ones wait until it enters.

        Raises ModelError if they are of other classes than the model's, else as `FrameReader.labels`.
        """
        self._check_classes()
        stamp_ns = nanoseconds(labels.header.stamp)
        self._early_labels.pop(stamp_ns, None)
        picture, held = self._reader.labels(labels), len(self._mapper.keyframes)
        if self._mapper.supervise(stamp_ns, picture, self._slop_ns) is not None:
            self._context.health.labeled += 1
            if len(self._mapper.keyframes) != held:  # labels count towards model.memory_budget
                self._publications.keyframes(self._mapper)
            return
        self._early_labels[stamp_ns] = labels
        while len(self._early_labels) > EARLY_LABELS:
            self._early_labels.popitem(last=False)

    def _check_classes(self) -> None:
        """An index of another label space is a wrong label that nothing else would show."""
        told, ours = self._context.label_names or {}, self._class_names
        named = {index: name for index, name in ours.items() if index in told}  # a labeler may name those that it knows
        if (index := first_difference(told, named)) is not None:
            raise ModelError(
                f"labels/info says class {index} is {told.get(index, 'nothing')!r} ({len(told)} classes), the model's "
                f"is {ours.get(index, 'nothing')!r} ({len(ours)}), so these labels do not teach",
                "labels in the model's label space",
                "Set the label space of what publishes them (sequence_player label_space, sray bag --label-space)",
            )

    def _supervise_early(self) -> None:
        """Give early labels to the keyframe that has just entered. Most are of other pictures: those stay unread."""
        for stamp_ns, labels in list(self._early_labels.items()):
            if self._mapper.keyframes.awaiting_labels(stamp_ns, self._slop_ns) is not None:
                try:
                    self.supervise(labels)
                except SrayError as error:  # of the labels: the keyframe itself is in
                    self._context.report(error)

    @property
    def _slop_ns(self) -> int:
        return round(self._context.settings.sync.slop * 1e9)

    def restart(self) -> None:
        """The keyframes are others now, or none: drop early labels; take the camera of the last keyframe."""
        self._early_labels.clear()
        if len(self._mapper.keyframes):
            self.last_camera = self._mapper.keyframes[len(self._mapper.keyframes) - 1].camera
