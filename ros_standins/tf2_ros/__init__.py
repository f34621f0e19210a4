"""Stand-in for the official tf2_ros (Python): buffer, listener and broadcasters under the same names.

Only the subset this project uses; see ros_standins/README.md. On a ROS install the official package comes first.
"""

from tf2_ros.broadcasters import StaticTransformBroadcaster, TransformBroadcaster
from tf2_ros.buffer import Buffer
from tf2_ros.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_ros.transform_listener import TransformListener

STANDIN = True
"""The official package has no such name: getattr(tf2_ros, "STANDIN", False) tells which of the two runs."""

__all__ = [
    "STANDIN",
    "Buffer",
    "ConnectivityException",
    "ExtrapolationException",
    "InvalidArgumentException",
    "LookupException",
    "StaticTransformBroadcaster",
    "TransformBroadcaster",
    "TransformException",
    "TransformListener",
]
