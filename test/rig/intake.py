"""For tests: an intake whose camera stands still; the test is the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sray.errors import SrayError
from sray_ros.common.conversions import nanoseconds, time_message
from sray_ros.common.error_codes import NoPoseError
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.intake import Intake
from sray_ros.mapper.lanes import IMAGES
from sray_ros.mapper.pose_queue import PoseQueue

OLD, NEW = 1001_300_000_000, 1000_000_000_000
"""Nanoseconds: the last stamp of a recording, and its first, when it starts again."""


class Bench:
    """Callbacks are called as DDS would call them."""

    def __init__(self, ros: Context) -> None:
        self.node = LifecycleNode("bench", context=ros, parameter_overrides=[Parameter("depth.use", value=True)])
        context = MapperContext(self.node)
        self.tf, self.inbox, self.health = context.tf, context.worker.inbox, context.health
        self.inbox.open()
        self.handled: list[Header] = []
        context.handled = self.handled.append  # type: ignore[method-assign]
        self.poses = PoseQueue(self.tf, "map", 10, lambda: 60.0, lambda: NoPoseError("too many"))
        self.intake = Intake(context, self.poses, Nothing())  # type: ignore[arg-type]

    def hear(self, message_type: type, stamp_ns: int) -> None:
        topic = {Image: self.intake.inputs.image, CameraInfo: self.intake.inputs.info}[message_type]
        topic._on_message(message_type(header=Header(stamp=time_message(stamp_ns), frame_id="camera")))

    def hear_depth(self, stamp_ns: int, frame_id: str = "camera") -> None:
        assert self.intake.inputs.depth is not None
        self.intake.inputs.depth._on_message(Image(header=Header(stamp=time_message(stamp_ns), frame_id=frame_id)))

    def hear_pose(self, stamp_ns: int) -> None:
        """The camera has stood still until then."""
        transform = TransformStamped(
            child_frame_id="camera", header=Header(stamp=time_message(stamp_ns), frame_id="map")
        )
        transform.transform.rotation.w = 1.0
        self.tf.set_transform(transform, "test")
        self.intake.poll()

    def pose(self, frame_id: str = "camera") -> None:
        transform = TransformStamped(child_frame_id=frame_id, header=Header(frame_id="map"))
        transform.transform.rotation.w = 1.0
        self.tf.set_transform_static(transform, "test")
        self.intake.poll()

    def clock_jumps(self) -> None:
        self.intake.on_clock_jump(OLD - NEW, NEW)

    @property
    def arrived(self) -> list[int]:
        return [job.arrival.stamp_ns for job in self.inbox.drain(IMAGES)]

    @property
    def depth_arrived(self) -> list[tuple[int, int | None]]:
        """Stamps of images and of their depth."""
        arrivals = [job.arrival for job in self.inbox.drain(IMAGES)]
        return [(each.stamp_ns, each.depth and nanoseconds(each.depth.header.stamp)) for each in arrivals]


class Nothing:
    """In place of the requests."""

    def poll(self) -> None: ...

    def refuse_all(self, error: SrayError) -> None: ...

    def tf_began_anew(self, why: str) -> None: ...

    @property
    def frames(self) -> set[str]:
        return set()


@contextmanager
def open_bench() -> Iterator[Bench]:
    context = Context()
    rclpy.init(context=context)
    bench = Bench(context)
    try:
        yield bench
    finally:
        bench.intake.close()
        bench.node.destroy_node()
        context.try_shutdown()
