"""What is matched around a jump back in time, whoever tells of it first. Messages are handed over by the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
import tf2_ros
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sray_ros.conversions import time_message
from sray_ros.health import Health
from sray_ros.inbox import Inbox
from sray_ros.intake import Intake
from sray_ros.jobs import IMAGES, LANES
from sray_ros.parameters import MapperParameters
from sray_ros.pose_queue import PoseQueue

pytestmark = pytest.mark.ros
OLD, NEW = 1001_300_000_000, 1000_000_000_000
"""Nanoseconds: the last stamp of a recording, and its first, when it starts again."""


class Bench:
    """An intake whose camera stands still; the test is the network."""

    def __init__(self, context: Context) -> None:
        self.node = LifecycleNode("bench", context=context, parameter_overrides=[Parameter("tf.timeout", value=0.0)])
        self.tf = tf2_ros.Buffer(node=self.node)
        self.inbox = Inbox(LANES)
        self.inbox.open()
        self.handled: list[Time] = []
        settings = MapperParameters(self.node)
        poses = PoseQueue(self.tf, "map", 10, lambda: 60.0)
        self.intake = Intake(
            self.node, settings, self.tf, poses, self.inbox, Leaver(), Health(), self.handled.append, lambda: False
        )  # type: ignore[arg-type]

    def hear(self, message_type: type, stamp_ns: int) -> None:
        topic = {Image: self.intake.inputs.image, CameraInfo: self.intake.inputs.info}[message_type]
        topic._on_message(message_type(header=Header(stamp=time_message(stamp_ns), frame_id="camera")))

    def pose(self) -> None:
        transform = TransformStamped(child_frame_id="camera", header=Header(frame_id="map"))
        transform.transform.rotation.w = 1.0
        self.tf.set_transform_static(transform, "test")
        self.intake.poll()

    def clock_jumps(self) -> None:
        self.intake.on_clock_jump(OLD - NEW, NEW)

    @property
    def arrived(self) -> list[int]:
        waiting = self.inbox.drain(IMAGES)
        return [arrival.stamp_ns for _, arrival in waiting]


class Leaver:
    def leave(self, lane: object, item: object) -> None: ...


@pytest.fixture
def bench() -> Iterator[Bench]:
    context = Context()
    rclpy.init(context=context)
    bench = Bench(context)
    yield bench
    bench.intake.close()
    bench.node.destroy_node()
    context.try_shutdown()


@pytest.mark.fault(
    "a bag starts again: the clock's jump is told between the first image and its camera_info", code="none",
    says="the log: jumped back; clearing pending work and TF", recovery="the first new image is matched as any other",
)  # fmt: skip
@pytest.mark.parametrize("clock", ["before", "between", "after"])
@pytest.mark.parametrize("first", [Image, CameraInfo])
def test_the_first_image_after_a_jump_is_matched(bench: Bench, clock: str, first: type) -> None:
    second = CameraInfo if first is Image else Image
    bench.pose()
    for kind in (Image, CameraInfo):
        bench.hear(kind, OLD)
    assert bench.arrived == [OLD]
    if clock == "before":
        bench.clock_jumps()
    bench.hear(first, NEW)
    if clock == "between":
        bench.clock_jumps()
    bench.hear(second, NEW)
    if clock == "after":
        bench.clock_jumps()
    bench.pose()
    assert bench.arrived == [NEW]


def test_what_waits_from_before_the_jump_is_never_matched(bench: Bench) -> None:
    bench.pose()
    for kind in (Image, CameraInfo):
        bench.hear(kind, OLD)
    assert bench.arrived == [OLD]
    bench.hear(CameraInfo, OLD + 33_000_000)
    bench.clock_jumps()
    bench.hear(Image, NEW)
    bench.hear(Image, OLD + 33_000_000)  # late, of the old time
    bench.pose()
    assert bench.arrived == []


def test_two_clock_jumps_are_two(bench: Bench) -> None:
    bench.pose()
    for _ in range(2):
        for stamp in (NEW, OLD):
            for kind in (Image, CameraInfo):
                bench.hear(kind, stamp)
        assert bench.arrived == [NEW, OLD]
        bench.clock_jumps()
        bench.pose()
