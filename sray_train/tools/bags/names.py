"""Names of topics and frames in a bag, and its message types."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

OPTICAL_IN_BODY = (-0.5, 0.5, -0.5, 0.5)
"""Quaternion (x, y, z, w) of the optical frame (x right, y down, z forward) in a body frame (x forward, y left, z up).

Source: REP 103.
"""

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
LABEL_INFO = "vision_msgs/msg/LabelInfo"
COMPRESSED = "/compressed"
"""What image_transport appends to an image topic's name."""
INFO = "/info"
"""What stands behind a label topic's name for the meaning of its indices."""

_VISION_MSGS = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    LABEL_INFO: "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
}


@dataclass(frozen=True)
class BagLayout:
    """Names in the bag. Topics: the node's own, so that it needs no remapping."""

    image: str = "/image"
    camera_info: str = "/camera_info"
    depth: str = "/depth"
    labels: str = "/labels"
    map_frame: str = "map"
    body_frame: str = "camera_link"
    optical_frame: str = "camera_optical_frame"

    @property
    def labels_info(self) -> str:
        return self.labels + INFO

    @property
    def compressed(self) -> str:
        return self.image + COMPRESSED


OWN_NAMES = BagLayout()


@cache
def typestore() -> Typestore:
    """The messages of ROS 2 Kilted, and vision_msgs' LabelInfo, which rosbags does not bring."""
    store = get_typestore(Stores.ROS2_KILTED)
    for name, text in _VISION_MSGS.items():
        store.register(get_types_from_msg(text, name))
    return store
