"""What everybody who reads a recorded robot has in common: how a rosbag2 is opened, and how TF names frames.

The library `rosbags` leaves out, without a word, all messages of a topic whose QoS in metadata.yaml is not that of the
data file. But editing metadata.yaml is how one gives a topic another QoS for `ros2 bag play`, which believes it. So do
we.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rosbags.rosbag2 import Reader

TF_STATIC = "/tf_static"
"""Always latched: tf2 sends it once, and no one else may need to ask."""

DATA_FILES = (".mcap", ".db3")


def tf_name(frame: str) -> str:
    """A frame's name as tf2 keeps it: a leading slash, as ROS 1 had it, is cut off. Look-ups with one are refused."""
    return frame.removeprefix("/")


def is_bag(path: Path) -> bool:
    """Whether it is a rosbag2, damaged or not, by its names: one data file, or a folder that has some."""
    if path.is_dir():
        return any(next(path.glob(f"*{ending}"), None) is not None for ending in DATA_FILES)
    return path.suffix in DATA_FILES


def open_bag(path: Path) -> Reader:
    """An open reader of a rosbag2 folder or of one .mcap or .db3 file; the caller closes it.

    Raises ModuleNotFoundError without the package rosbags, and whatever that library raises for a damaged bag.
    """
    from rosbags.rosbag2 import Reader  # playing a folder of pictures needs no bag library

    reader = Reader(path)
    reader.open()
    try:
        for storage in getattr(reader.storage, "storages", ()):
            for index, own in enumerate(storage.connections):
                said = [
                    each.ext for each in reader.connections if (each.topic, each.msgtype) == (own.topic, own.msgtype)
                ]
                if said and own.ext not in said:
                    storage.connections[index] = own._replace(ext=said[0])
    except BaseException:
        reader.close()
        raise
    return reader


def topic_types(path: Path) -> dict[str, str]:
    """Types of a bag's topics, by name. Raises as `open_bag`."""
    reader = open_bag(path)
    try:
        return {str(each.topic): str(each.msgtype) for each in reader.connections}
    finally:
        reader.close()
