"""What a player plays: a ScanNet-layout folder or a rosbag2, both as the same stream of timed steps.

A folder's frames become the topics `image` (rgb8), `camera_info`, `depth` (32FC1 metres), `labels` (mono8 class
indices, 255 unlabelled), `/tf` and `/tf_static`. A bag's messages go out under their own names, bytes untouched.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from geometry_msgs.msg import TransformStamped
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from sray.errors import ErrorCode, SrayError
from sray.sequence import Sequence, stamp_of
from sray_ros.conversions import camera_info_message, image_message, time_message
from sray_ros.poses import OPTICAL_FROM_BODY, Matrix, transform_of_matrix


@dataclass(frozen=True)
class Topic:
    """One topic to publish."""

    name: str
    message_type: type
    durable: bool = False
    """Transient local: late subscribers get it too."""


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
        """Topics without a subscriber of which playing would be for nobody."""

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
        optional = [Topic("depth", Image)] if self.sequence.has_depth else []
        optional += [Topic("labels", Image)] if self.sequence.has_labels else []
        return (
            Topic("/tf_static", TFMessage, durable=True),
            Topic("/tf", TFMessage),
            Topic("camera_info", CameraInfo),
            *optional,
            Topic("image", Image),
        )

    @property
    def awaited(self) -> tuple[str, ...]:
        return ("image", "camera_info", "/tf")

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
        yield Step(start, (("/tf_static", static),))
        for position, number in enumerate(self.sequence.indices):
            if stamp_of(number) >= start:
                yield self._step(position)

    def _step(self, position: int) -> Step:
        frame = self.sequence[position]
        header = Header(stamp=time_message(frame.stamp_ns), frame_id=self.optical_frame)
        pose = frame.camera.world_from_camera.double().numpy() @ OPTICAL_FROM_BODY
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


@dataclass(frozen=True)
class BagRecording:
    """A rosbag2 folder (sqlite3 or MCAP), read without ROS by the `rosbags` library."""

    folder: Path
    image_topic: str
    topics: tuple[Topic, ...]
    unknown: tuple[str, ...] = field(default=())
    """Topics left out because their message package is not installed."""

    @staticmethod
    def open(folder: Path | str, image_topic: str = "") -> BagRecording:
        """Look at a bag. `image_topic` is the camera's; empty: the first one with a colour picture.

        Raises SrayError(BAD_FILE), naming the folder, if it is not a readable rosbag2 or has no such topic.
        """
        folder = Path(folder)
        topics: dict[str, Topic] = {}
        unknown = []
        with _reading(folder) as reader:
            for connection in reader.connections:
                try:
                    message_type = _message_type(connection.msgtype)
                except (ImportError, AttributeError):
                    unknown.append(f"{connection.topic} ({connection.msgtype})")
                    continue
                durable = any(qos.durability.name == "TRANSIENT_LOCAL" for qos in connection.ext.offered_qos_profiles)
                topics[connection.topic] = Topic(connection.topic, message_type, durable)
            image_topic = image_topic or _colour_topic(reader)
        if image_topic not in topics:
            raise SrayError(
                ErrorCode.BAD_FILE,
                f"the bag {folder} has {'no topic ' + image_topic if image_topic else 'no colour image topic'}; "
                f"expected one of its topics ({', '.join(sorted(topics)) or 'none'}) as image_topic",
            )
        return BagRecording(folder, image_topic, tuple(topics.values()), tuple(unknown))

    @property
    def awaited(self) -> tuple[str, ...]:
        camera_info = self.image_topic.rsplit("/", 1)[0] + "/camera_info"
        names = {topic.name for topic in self.topics}
        return tuple(name for name in (self.image_topic, camera_info, "/tf") if name in names)

    @property
    def summary(self) -> str:
        left_out = f"; left out, message package not installed: {', '.join(self.unknown)}" if self.unknown else ""
        return f"{self.folder}: {len(self.topics)} topics, camera on {self.image_topic}{left_out}"

    def steps(self, start_offset: float = 0.0) -> Iterator[Step]:
        durable = {topic.name for topic in self.topics if topic.durable}
        names = {topic.name for topic in self.topics}
        with _reading(self.folder) as reader:
            begin = reader.start_time + round(start_offset * 1e9)
            for connection, time_ns, raw in reader.messages():
                name = connection.topic
                # What is latched stays true: it goes out even if it was recorded before the start.
                if name not in names or (time_ns < begin and name not in durable):
                    continue
                stamp = _stamp_of_serialized(raw) if name == self.image_topic else None
                yield Step(max(time_ns, begin), ((name, bytes(raw)),), stamp)


def _reading(folder: Path) -> Any:
    # Imported here: playing a folder needs no bag library.
    from rosbags.rosbag2 import Reader, ReaderError

    try:
        return Reader(folder)
    except (ReaderError, OSError) as error:
        raise SrayError(
            ErrorCode.BAD_FILE, f"{folder} cannot be played ({error}); expected a rosbag2 folder with metadata.yaml"
        ) from error


def _message_type(name: str) -> type:
    package, _, message = name.split("/")
    found: type = getattr(importlib.import_module(f"{package}.msg"), message)
    return found


def _colour_topic(reader: Any) -> str:
    """The first topic whose pictures are in colour: a compressed one, or an Image of at least three channels."""
    from rclpy.serialization import deserialize_message

    for connection in sorted(reader.connections, key=lambda connection: connection.topic):
        if connection.msgtype == "sensor_msgs/msg/CompressedImage":
            return str(connection.topic)
        if connection.msgtype == "sensor_msgs/msg/Image" and connection.msgcount:
            _, _, raw = next(iter(reader.messages(connections=[connection])))
            if deserialize_message(bytes(raw), Image).encoding.lower().startswith(("rgb", "bgr", "bayer", "8uc3")):
                return str(connection.topic)
    return ""


def _stamp_of_serialized(raw: bytes | memoryview) -> int:
    """The header stamp (ns) of a serialized message whose first field is a Header: 4 bytes of CDR header before it."""
    seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
