"""A rosbag2 as a recording to play: its messages go out under their own names, bytes untouched.

A bag may be damaged in any way: each becomes a SrayError that names the bag.
"""

from __future__ import annotations

import importlib
import re
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.exceptions import InvalidTopicNameException
from rclpy.validate_full_topic_name import validate_full_topic_name

from sray.errors import FileError, NotInstalledError, SrayError
from sray.recorded_bag import TF_STATIC, open_bag
from sray.sequence import LATEST_STAMP_NS
from sray_ros.common.topics import Topic
from sray_ros.player.recording import Step

COMPRESSED = "/compressed"
"""What image_transport appends to an image topic's name."""
COLOR = ("rgb", "bgr", "bayer", "yuv", "uyvy")
"""How the encodings of color pictures begin."""
LONGEST_PAUSE_NS = 24 * 3600 * 1_000_000_000
"""Between two messages; a longer one is a damaged time, and waiting for it would never end."""
MAPPER = "/semantic_mapper/"
_MESSAGE_TYPE = re.compile(r"[a-z][a-z0-9_]*/msg/[A-Z][A-Za-z0-9]*")


@dataclass(frozen=True)
class BagRecording:
    """A rosbag2 (sqlite3 or MCAP), read without ROS by the `rosbags` library."""

    folder: Path
    image_topic: str
    topics: tuple[Topic, ...]
    unknown: tuple[str, ...] = field(default=())
    """Topics left out: their message package is not installed, or they have no name that ROS allows."""
    made_anew: tuple[str, ...] = field(default=())
    """Topics left out: the clock, which the player makes itself, and what a mapper said when the bag was recorded."""

    @staticmethod
    def open(folder: Path | str, image_topic: str = "") -> BagRecording:
        """Look at a bag. `image_topic` is the camera's, with or without /compressed; empty: the first one in color.

        Raises FileError, naming the folder, if it is not a readable rosbag2 or has no such topic.
        """
        folder = Path(folder)
        topics: dict[str, Topic] = {}
        unknown: list[str] = []
        made_anew: list[str] = []
        with _reading(folder) as reader:
            for connection in reader.connections:
                if connection.topic == "/clock" or MAPPER in connection.topic:
                    made_anew.append(connection.topic)
                    continue
                try:
                    validate_full_topic_name(connection.topic)
                    message_type = _message_type(connection.msgtype)
                except (ImportError, AttributeError, TypeError, InvalidTopicNameException):
                    unknown.append(f"{str(connection.topic)[:80]!r} ({str(connection.msgtype)[:80]!r})")
                    continue
                durable = connection.topic == TF_STATIC or any(
                    qos.durability.name == "TRANSIENT_LOCAL" for qos in connection.ext.offered_qos_profiles
                )
                topics[connection.topic] = Topic(
                    connection.topic, message_type, depth=100 if durable else 10, is_latched=durable
                )
            image_topic = image_topic or _color_topic(reader)
        if image_topic not in topics and image_topic + COMPRESSED in topics:
            image_topic += COMPRESSED
        if image_topic not in topics:
            raise FileError(
                f"the bag {folder} has {'no topic ' + image_topic if image_topic else 'no color image topic'}",
                f"one of its topics ({', '.join(sorted(topics)) or 'none'}) as image_topic (launch: image:=)",
            )
        return BagRecording(folder, image_topic, tuple(topics.values()), tuple(unknown), tuple(made_anew))

    @property
    def awaited(self) -> tuple[str, ...]:
        camera_info = self.image_topic.removesuffix(COMPRESSED).rsplit("/", 1)[0] + "/camera_info"
        names = {topic.name for topic in self.topics}
        return tuple(name for name in (self.image_topic, camera_info, "/tf") if name in names)

    @property
    def summary(self) -> str:
        left_out = f"; left out, message package not installed: {', '.join(self.unknown)}" if self.unknown else ""
        left_out += f"; left out, made anew: {', '.join(self.made_anew)}" if self.made_anew else ""
        return f"{self.folder}: {len(self.topics)} topics, camera on {self.image_topic}{left_out}"

    def steps(self, start_offset: float = 0.0) -> Iterator[Step]:
        """Raises FileError, naming the bag, where it is damaged."""
        durable = {topic.name for topic in self.topics if topic.is_latched}
        names = {topic.name for topic in self.topics}
        with _reading(self.folder) as reader:
            begin = reader.start_time + round(start_offset * 1e9)
            last: int | None = None
            for connection, time_ns, raw in reader.messages():
                name = connection.topic
                # Latched messages go out even if they were recorded before the start.
                if name not in names or (time_ns < begin and name not in durable):
                    continue
                now = max(time_ns, begin)
                if not 0 <= now < LATEST_STAMP_NS or (last is not None and now - last > LONGEST_PAUSE_NS):
                    raise ValueError(f"a message on {name} was recorded at {time_ns / 1e9:.0f} s")
                last = now
                stamp = _stamp_of_serialized(raw) if name == self.image_topic else None
                yield Step(now, ((name, _as_bytes(raw)),), stamp)


@contextmanager
def _reading(folder: Path) -> Iterator[Any]:
    try:
        with closing(open_bag(folder)) as reader:
            yield reader
    except ModuleNotFoundError as error:
        raise NotInstalledError(
            f"{folder} cannot be played without the Python package rosbags", remedy="pip install rosbags"
        ) from error
    except SrayError:
        raise
    except Exception as error:  # a damaged file can make the library raise anything
        raise FileError(
            f"{folder} cannot be played ({type(error).__name__}: {str(error)[:300]})",
            "a rosbag2 folder with metadata.yaml, whole",
            "`sray bag --check` says more",
        ) from error


def _message_type(name: str) -> type:
    if not _MESSAGE_TYPE.fullmatch(name):
        raise TypeError(f"{name!r} is no message type")
    package, _, message = name.split("/")
    found: type = getattr(importlib.import_module(f"{package}.msg"), message)
    return found


def _color_topic(reader: Any) -> str:
    """The first topic whose pictures are in color: a compressed one, or an Image of at least three channels."""
    for connection in sorted(reader.connections, key=lambda connection: str(connection.topic)):
        if connection.msgtype == "sensor_msgs/msg/CompressedImage":
            return str(connection.topic)
        if connection.msgtype == "sensor_msgs/msg/Image" and connection.msgcount:
            first = next(iter(reader.messages(connections=[connection])), None)
            if first is not None and _encoding_of_serialized(first[2]).startswith(COLOR):
                return str(connection.topic)
    return ""


def _stamp_of_serialized(raw: bytes | memoryview) -> int | None:
    """The header stamp (ns) of a message whose first field is a Header; None: it is cut short. 4 bytes of CDR first."""
    try:
        seconds, nanoseconds = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)
    except (struct.error, IndexError):
        return None
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def _encoding_of_serialized(raw: bytes | memoryview) -> str:
    """The encoding of an Image, lower case; "" if it is cut short. CDR: stamp, frame_id, height, width, encoding.

    By hand, as damaged lengths reach no C++ this way.
    """
    try:
        order = "<" if raw[1] & 1 else ">"
        (length,) = struct.unpack_from(f"{order}I", raw, 12)
        after = 16 + (length + 3) // 4 * 4 + 8  # aligned to 4 after the CDR header
        (length,) = struct.unpack_from(f"{order}I", raw, after)
        return bytes(raw[after + 4 : after + 4 + min(length, 64)]).rstrip(b"\0").decode("ascii", "replace").lower()
    except (struct.error, IndexError):
        return ""


def _as_bytes(raw: Any) -> bytes:
    if not isinstance(raw, bytes | bytearray | memoryview):  # bytes(7) would be seven zeros
        raise TypeError(f"a message is {type(raw).__name__}, not bytes")
    return bytes(raw)
