"""Publications: what semantic_mapper publishes. A message is made only if somebody listens to its topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseArray
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from sray.camera import Camera
from sray.field import RenderedView
from sray.label_space import LabelSpace
from sray.mapping.cloud import LabeledCloud
from sray.mapping.keyframes import Keyframe
from sray.mapping.mapper import Mapper, Rendering
from sray_ros.common.conversions import (
    Picture,
    camera_info_message,
    cloud_message,
    image_message,
    label_info_message,
)
from sray_ros.common.map_origins import MapOrigins
from sray_ros.common.poses import body_pose
from sray_ros.mapper.api import OF_A_VIEW, OF_THE_STATE
from sray_ros.mapper.legend import legend

FRUSTUM_METERS = 0.15


class Publications:
    """Publishers of a configured node; reliable, depth 1."""

    def __init__(self, node: LifecycleNode, label_space: LabelSpace, map_frame: str) -> None:
        self._node = node
        self._label_space = label_space
        self._map_frame = map_frame
        self._origins = MapOrigins(node, map_frame)
        self._map_revision = -1
        self._poses: dict[int, Pose] = {}
        self._publishers: dict[str, LifecyclePublisher] = {}
        for topic in (*OF_A_VIEW, *OF_THE_STATE):
            publisher = node.create_lifecycle_publisher(topic.type, topic.name, topic.qos)
            self._publishers[topic.name.removeprefix("~/")] = publisher

    def close(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._origins.close()

    def label_space(self, threshold: float) -> None:
        """Names, ids and the legend."""
        header = Header(stamp=self._now(), frame_id=self._map_frame)
        self._publishers["label/info"].publish(label_info_message(header, self._label_space, threshold))
        self._publishers["legend"].publish(image_message(header, legend(self._label_space), "rgb8"))

    def view(self, header: Header, view: RenderedView, make_cloud: Callable[[], LabeledCloud]) -> None:
        """One rendered view; `header` is the camera's."""
        for name, make in view_messages(header, view, self._label_space).items():
            self._publish(name, make)
        self._publish("points", lambda: self.cloud(header.stamp, make_cloud()))

    def cloud(self, stamp: Time, cloud: LabeledCloud) -> PointCloud2:
        """A cloud's message, in map_frame, or in a frame whose origin lies near the cloud."""
        return cloud_message(self._origins.header(stamp, cloud.origin), cloud)

    def keyframes(self, mapper: Mapper) -> None:
        self._poses = poses_of(mapper.keyframes, self._poses)
        header = Header(stamp=self._now(), frame_id=self._map_frame)
        self._publishers["keyframes"].publish(PoseArray(header=header, poses=list(self._poses.values())))

    def keyframe_image(self, image: Image | CompressedImage, decoded: Callable[[], Picture]) -> None:
        """The picture of a new keyframe as it came, not rectified, as its labels will be; decoded if need be."""
        self._publish(
            "keyframe/image",
            lambda: image if isinstance(image, Image) else image_message(image.header, decoded(), "rgb8"),
        )

    def frustums(self, rendering: Rendering) -> None:
        """The sources of the last render, and its target, as lines."""
        header = Header(stamp=self._now(), frame_id=self._map_frame)
        sources = [keyframe.camera for keyframe in rendering.sources]
        markers = [
            _lines(header, 0, "sources", sources, ColorRGBA(r=0.2, g=0.6, b=1.0, a=1.0)),
            _lines(header, 1, "target", [rendering.view.camera], ColorRGBA(r=1.0, g=0.5, b=0.0, a=1.0)),
        ]
        self._publishers["frustums"].publish(MarkerArray(markers=markers))

    def forget(self) -> None:
        """Keyframes and map were replaced: publish them even if their numbers and revision are the same as before."""
        self._map_revision = -1
        self._poses = {}

    def map(self, mapper: Mapper) -> None:
        """The fused map, if it changed and somebody listens; call again when somebody new does."""
        if mapper.map.revision == self._map_revision or not self._publishers["map"].get_subscription_count():
            return
        self._map_revision = mapper.map.revision
        self._publishers["map"].publish(self.cloud(self._now(), mapper.map.to_cloud()))

    def _publish(self, name: str, make: Callable[[], Any]) -> None:
        publisher = self._publishers[name]
        if publisher.get_subscription_count():
            publisher.publish(make())

    def _now(self) -> Any:
        return self._node.get_clock().now().to_msg()


def poses_of(keyframes: Iterable[Keyframe], known: Mapping[int, Pose]) -> dict[int, Pose]:
    """Where keyframes stand and look, by their number, in their order; those `known` are not worked out again.

    One takes 20 microseconds, and a keyframe that enters publishes all of them.
    """
    return {
        keyframe.number: known.get(keyframe.number) or body_pose(keyframe.camera.world_pose) for keyframe in keyframes
    }


def view_messages(header: Header, view: RenderedView, label_space: LabelSpace) -> dict[str, Callable[[], Any]]:
    """How to make each image topic's message of a rendered view."""
    labels = view.labels.numpy()

    def color() -> Picture:
        picture: Picture = (view.color.numpy() * 255).round().astype(np.uint8)
        return picture

    return {
        "label/image": lambda: image_message(header, labels, "mono8"),
        "label/camera_info": lambda: camera_info_message(header, view.camera),
        "label/confidence": lambda: image_message(header, view.confidence.numpy().astype(np.float32), "32FC1"),
        "label/color": lambda: image_message(header, label_space.colorize(labels), "rgb8"),
        "label/overlay": lambda: image_message(header, label_space.overlay(color(), labels), "rgb8"),
        "color/image": lambda: image_message(header, color(), "rgb8"),
        "depth/image": lambda: image_message(header, view.depth.numpy().astype(np.float32), "32FC1"),
        "coverage": lambda: image_message(header, view.coverage.numpy(), "mono8"),
    }


def _lines(header: Header, number: int, name: str, cameras: Sequence[Camera], color: ColorRGBA) -> Marker:
    marker = Marker(header=header, ns=name, id=number, type=Marker.LINE_LIST, action=Marker.ADD, color=color)
    marker.pose.orientation.w = 1.0
    marker.scale.x = 0.01
    marker.lifetime = Duration(seconds=0).to_msg()
    for camera in cameras:
        marker.points.extend(_frustum(camera))
    return marker


def _frustum(camera: Camera) -> list[Point]:
    k, pose = camera.intrinsics.double().numpy(), camera.world_pose
    left, right, top, bottom = -0.5, camera.width - 0.5, -0.5, camera.height - 0.5
    pixels = np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]])
    corners = FRUSTUM_METERS * (np.linalg.inv(k) @ pixels.T).T @ pose[:3, :3].T + pose[:3, 3]
    ends = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in corners]
    center = Point(x=float(pose[0, 3]), y=float(pose[1, 3]), z=float(pose[2, 3]))
    return [point for i, end in enumerate(ends) for point in (center, end, end, ends[(i + 1) % 4])]
