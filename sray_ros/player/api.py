"""The topics of sequence_player, with the texts of docs/ros_api.md. A bag's topics keep their own names and types."""

from __future__ import annotations

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo

from sray_ros.common.topics import Call, Topic

IMAGE = Topic("image", Image, "rgb8: the frame's picture", 10)
CAMERA_INFO = Topic("camera_info", CameraInfo, "a pinhole without distortion, stamped as the picture", 10)
DEPTH = Topic("depth", Image, "32FC1 meters, where the sequence has depth", 10)
LABELS = Topic("labels", Image, "mono8 class indices, 255 unlabeled, where the sequence has labels", 10)
LABELS_INFO = Topic(
    "labels/info", LabelInfo, "what the indices mean; goes with labels when that is remapped", 100, is_latched=True,
    follows="labels",
)  # fmt: skip
TF = Topic("/tf", TFMessage, "body_frame in map_frame, stamped as the picture", 10)
TF_STATIC = Topic("/tf_static", TFMessage, "camera_frame in body_frame", 100, is_latched=True)
OF_A_SEQUENCE = (TF_STATIC, TF, CAMERA_INFO, DEPTH, LABELS_INFO, LABELS, IMAGE)
CLOCK = Topic("/clock", Clock, "the recording's time, clock_rate times a second")
PUBLISHED = (*OF_A_SEQUENCE, CLOCK)

HANDLED = Topic("handled", Header, "in lockstep: the mapper's ~/handled, one header for each picture", 50)
SUBSCRIBED = (HANDLED,)

PAUSE = Call("~/pause", SetBool, "let the recording stand still, or go on")
SERVICES = (PAUSE,)
