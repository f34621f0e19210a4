"""MapOrigins: the frame that clouds are published in, where the map lies far from the origin of `map_frame`.

PointCloud2 readers (RViz, PCL, Nav2) want float32, which has steps of 0.03 to 0.5 m where a map is hundreds or
thousands of kilometers from its frame's origin, as in UTM coordinates. So such clouds are in a frame of their own: its
axes are those of `map_frame`, its origin is a round place nearby. TF knows it, by a latched transform on /tf_static
whose numbers are float64: a client that looks a cloud's frame up in TF, as RViz does, draws the points in place.

REP 105 wants `map` to have an origin that suits the place, and `earth` above it for coordinates of the whole globe. A
robot that is set up so never gets such a frame: within 500 m of the origin clouds are in `map_frame` itself.
"""

from __future__ import annotations

import threading

import tf2_ros
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from std_msgs.msg import Header

from sray.origin import SPACING, WORLD, Origin


def frame_of(map_frame: str, origin: Origin) -> str:
    """The name says where it is, in kilometers: two nodes that name the same frame mean the same place."""
    if origin.is_world:
        return map_frame
    return f"{map_frame}_at_" + "_".join(f"{value / SPACING:.0f}" for value in origin) + "_km"


def origin_of(map_frame: str, frame_id: str) -> Origin:
    """The origin whose frame has this name. Raises ValueError if it is none of `map_frame`'s."""
    if frame_id == map_frame:
        return WORLD
    words = frame_id.removeprefix(f"{map_frame}_at_").removesuffix("_km").split("_")
    if len(words) != 3 or frame_of(map_frame, origin := Origin(*(SPACING * int(word) for word in words))) != frame_id:
        raise ValueError(f"frame {frame_id!r} is neither {map_frame!r} nor one of its origins")
    return origin


class MapOrigins:
    """Headers of clouds, and the transforms that go with them. Any thread."""

    def __init__(self, node: Node, map_frame: str) -> None:
        self._node = node
        self._map_frame = map_frame
        self._told: set[Origin] = set()
        self._lock = threading.Lock()
        self._broadcaster = tf2_ros.StaticTransformBroadcaster(node)

    def header(self, stamp: Time, origin: Origin) -> Header:
        """The frame of a cloud with this origin; it is published on TF once."""
        frame = frame_of(self._map_frame, origin)
        if not origin.is_world:
            with self._lock:
                self._tell(frame, origin)
        return Header(stamp=stamp, frame_id=frame)

    def close(self) -> None:
        """Take the transforms back."""
        self._node.destroy_publisher(self._broadcaster.pub_tf)

    def _tell(self, frame: str, origin: Origin) -> None:
        if origin in self._told:
            return
        self._told.add(origin)
        transform = TransformStamped(child_frame_id=frame)
        transform.header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._map_frame)
        t = transform.transform.translation
        t.x, t.y, t.z = origin
        transform.transform.rotation.w = 1.0
        self._broadcaster.sendTransform(transform)
        self._node.get_logger().info(
            f"the map lies at {origin} in {self._map_frame}: clouds are published in frame {frame}, which TF knows"
        )
