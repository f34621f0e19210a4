"""The topics of the segmenter, with the texts of docs/ros_api.md."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo

from sray_ros.common.topics import COMPRESSED, IMAGE, Topic

LABEL_INFO = Topic(
    "label/info", LabelInfo, "the mapper's ~/label/info: which classes to label with; label_space is held against it",
    is_latched=True,
)  # fmt: skip
SUBSCRIBED = (IMAGE, COMPRESSED, LABEL_INFO)

LABELS = Topic("labels", Image, "mono8 class indices, 255 unsure, with the picture's stamp, frame and size", 5)
LABELS_INFO = Topic(
    "labels/info",
    LabelInfo,
    "names and ids, 255 included; goes with labels when that is remapped",
    is_latched=True,
    follows="labels",
)
DIAGNOSTICS = Topic(
    "/diagnostics", DiagnosticArray, "once a second: why nothing comes out, rate, seconds a picture, coverage", 10
)
PUBLISHED = (LABELS, LABELS_INFO, DIAGNOSTICS)
