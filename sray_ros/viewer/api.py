"""The topics that the viewer node listens to, with the texts of docs/ros_api.md."""

from __future__ import annotations

from dataclasses import replace

from geometry_msgs.msg import PoseArray
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from sray_interfaces.msg import FineTuneStatus
from sray_ros.common.topics import TF, TF_STATIC, Topic

LABEL_INFO = Topic("~/label/info", LabelInfo, "names of the classes", is_latched=True)
MAP = Topic("~/map", PointCloud2, "what is drawn", is_latched=True)
KEYFRAMES = Topic("~/keyframes", PoseArray, "that the keyframes have changed: then it asks which", is_latched=True)
KEYFRAME_IMAGE = Topic("~/keyframe/image", Image, "pictures of the keyframes that enter while it listens", 64)
HANDLED = Topic("~/handled", Header, "where the camera is that maps: its frame, looked up in TF", 10)
STATUS = Topic("~/fine_tune/status", FineTuneStatus, "where fine-tuning stands", is_latched=True)
POSES = replace(TF, text="the pose of the camera that maps")
FIXED_POSES = replace(TF_STATIC, text="the same, what never changes")
SUBSCRIBED = (LABEL_INFO, MAP, KEYFRAMES, KEYFRAME_IMAGE, HANDLED, STATUS, POSES, FIXED_POSES)
"""`~` is the mapper's name here."""
