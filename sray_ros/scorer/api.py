"""The topics of label_scorer, with the texts of docs/ros_api.md."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32
from vision_msgs.msg import LabelInfo

from sray_ros.common.topics import Topic

# Reliable: a lost picture is a missing score. A segmenter that offers best effort is named in the log.
LABEL = Topic("label/image", Image, "mono8 class indices, 255 not known: what is scored", 20)
LABEL_INFO = Topic("label/info", LabelInfo, "the names of its classes", is_latched=True)
TRUTH = Topic("labels", Image, "mono8 class indices, 255 not scored: the ground truth, with the labels' stamps", 100)
TRUTH_INFO = Topic(
    "labels/info", LabelInfo, "the truth's names: nothing is scored while they differ; goes with labels when that is "
    "remapped", is_latched=True, follows="labels",
)  # fmt: skip
CAMERA_INFO = Topic(
    "camera_info", CameraInfo, "optional: of the truth's pictures, which are rectified by it as the mapper's are", 5,
    is_best_effort=True,
)  # fmt: skip
SUBSCRIBED = (LABEL, LABEL_INFO, TRUTH, TRUTH_INFO, CAMERA_INFO)

MIOU = Topic("~/miou", Float32, "strict mIoU, 0 to 1, of all label images so far; after each one", 100)
PUBLISHED = (MIOU,)
