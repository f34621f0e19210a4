"""What the viewer node listens to, asks for and can be told, and its documentation (docs/ros_api.md)."""

from __future__ import annotations

from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from sray_interfaces.msg import FineTuneStatus
from sray_ros.common.parameters import NEVER, NodeParameter
from sray_ros.mapper.declarations import TF, TF_STATIC, Topic

LABEL_INFO = Topic("~/label/info", LabelInfo, "names of the classes", is_latched=True)
MAP = Topic("~/map", PointCloud2, "what is drawn", is_latched=True)
KEYFRAMES = Topic("~/keyframes", PoseArray, "that the keyframes have changed: then it asks which", is_latched=True)
KEYFRAME_IMAGE = Topic("~/keyframe/image", Image, "pictures of the keyframes that enter while it listens", 64)
HANDLED = Topic("~/handled", Header, "where the camera is that maps: its frame, looked up in TF", 10)
STATUS = Topic("~/fine_tune/status", FineTuneStatus, "where fine-tuning stands", is_latched=True)
SUBSCRIBED = (LABEL_INFO, MAP, KEYFRAMES, KEYFRAME_IMAGE, HANDLED, STATUS, TF, TF_STATIC)
"""`~` is the mapper's name here."""

PARAMETERS = (
    NodeParameter(
        "mapper", "semantic_mapper", "name of the mapper's node, in the namespace of this one unless it starts with /",
        applies=NEVER, check=lambda name: None if name else "the name of a node",
    ),
    NodeParameter(
        "host", "127.0.0.1", "who may look: 127.0.0.1 this machine alone, 0.0.0.0 everybody on the network, without a "
        "password", applies=NEVER, check=lambda host: None if host else "an address of this machine",
    ),
    NodeParameter("port", 8080, "of the page; 0: any that is free, which the log names", (0, 65535), applies=NEVER),
)  # fmt: skip
