"""A recording is a stream of timed steps to publish. Here: one made of a folder in ScanNet layout.

`bag_recording.py` makes one of a rosbag2. `api.py` lists the topics that a folder's frames become.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from geometry_msgs.msg import TransformStamped
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from sray.sequence import Sequence, stamp_of
from sray_ros.common.conversions import camera_info_message, image_message, label_info_message, time_message
from sray_ros.common.poses import OPTICAL_FROM_BODY, Matrix, transform_of_matrix
from sray_ros.common.topics import Topic
from sray_ros.player import api


@dataclass(frozen=True)
class Step:
    """What goes out at one moment."""

    time_ns: int
    messages: tuple[tuple[str, Any], ...]
    """Topic and message, or topic and serialized bytes."""
    image_stamp_ns: int | None = None
    """The header stamp, if a camera picture is among them: what lockstep waits for."""


class Recording(Protocol):
    """Something that can be played, any number of times."""

    @property
    def topics(self) -> tuple[Topic, ...]: ...

    @property
    def awaited(self) -> tuple[str, ...]:
        """Topics that must have a subscriber before playing begins, or its first frames would be lost."""

    @property
    def summary(self) -> str:
        """One line for the log: what it holds and what is left out."""

    def steps(self, start_offset: float = 0.0) -> Iterator[Step]:
        """In time order, from `start_offset` seconds after the first one on."""


@dataclass(frozen=True)
class FolderRecording:
    """A ScanNet-layout folder. Frames without a usable pose are left out and counted in the summary."""

    sequence: Sequence
    map_frame: str = "map"
    body_frame: str = "camera_link"
    optical_frame: str = "camera_optical_frame"

    @property
    def topics(self) -> tuple[Topic, ...]:
        there = {api.DEPTH: self.sequence.has_depth, api.LABELS: self.sequence.has_labels}
        there[api.LABELS_INFO] = self.sequence.has_labels
        return tuple(topic for topic in api.OF_A_SEQUENCE if there.get(topic, True))

    @property
    def awaited(self) -> tuple[str, ...]:
        return (api.IMAGE.name, api.CAMERA_INFO.name, api.TF.name)

    @property
    def summary(self) -> str:
        sequence = self.sequence
        kinds = "".join(
            f", with {name}"
            for name, there in (("depth", sequence.has_depth), ("labels", sequence.has_labels))
            if there
        )
        left_out = "".join(f"; {len(numbers)} left out: {why}" for why, numbers in sequence.skipped.items())
        return f"{sequence.folder}: {len(sequence)} frames{kinds}{left_out}"

    def steps(self, start_offset: float = 0.0) -> Iterator[Step]:
        begin = stamp_of(self.sequence.indices[0])
        static = self._transform(begin, self.body_frame, self.optical_frame, OPTICAL_FROM_BODY.T)
        start = begin + round(start_offset * 1e9)
        latched: list[tuple[str, Any]] = [("/tf_static", static)]
        if self.sequence.has_labels:
            header = Header(stamp=time_message(begin), frame_id=self.optical_frame)
            latched.append(("labels/info", label_info_message(header, self.sequence.label_space, 0.0)))
        yield Step(start, tuple(latched))
        for position, number in enumerate(self.sequence.indices):
            if stamp_of(number) >= start:
                yield self._step(position)

    def _step(self, position: int) -> Step:
        frame = self.sequence[position]
        header = Header(stamp=time_message(frame.stamp_ns), frame_id=self.optical_frame)
        pose = frame.camera.world_pose @ OPTICAL_FROM_BODY
        messages = [
            ("/tf", self._transform(frame.stamp_ns, self.map_frame, self.body_frame, pose)),
            ("camera_info", camera_info_message(header, frame.camera)),
        ]
        if frame.labels is not None:
            messages.append(("labels", image_message(header, frame.labels.numpy(), "mono8")))
        if frame.depth is not None:
            messages.append(("depth", image_message(header, frame.depth.numpy().astype("<f4"), "32FC1")))
        messages.append(("image", image_message(header, frame.image.numpy(), "rgb8")))
        return Step(frame.stamp_ns, tuple(messages), frame.stamp_ns)

    def _transform(self, stamp_ns: int, parent: str, child: str, parent_from_child: Matrix) -> TFMessage:
        header = Header(stamp=time_message(stamp_ns), frame_id=parent)
        transform = transform_of_matrix(parent_from_child)
        return TFMessage(transforms=[TransformStamped(header=header, child_frame_id=child, transform=transform)])
