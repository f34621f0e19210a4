"""The queue for poses by its clock: nobody waits longer than told, nobody is given up for what is there unread."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import tf2_ros
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped

from sray.errors import SrayError
from sray_ros.common.error_codes import NoPoseError
from sray_ros.mapper import pose_queue
from sray_ros.mapper.pose_queue import GRACE, PoseQueue, Waiting

pytestmark = pytest.mark.ros
TIMEOUT = 0.2


class Clock:
    """The queue's steady time."""

    now = 100.0

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pose_queue, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def buffer() -> tf2_ros.Buffer:
    return tf2_ros.Buffer()


@pytest.fixture
def queue(buffer: tf2_ros.Buffer) -> PoseQueue:
    return PoseQueue(buffer, "map", 2, lambda: TIMEOUT, lambda: NoPoseError("too many"))


def picture(delivered: list[Any], refused: list[SrayError]) -> Waiting:
    return Waiting("camera", Time(sec=1), delivered.append, refused.append)


def hear(buffer: tf2_ros.Buffer) -> None:
    transform = TransformStamped(child_frame_id="camera")
    transform.header.frame_id, transform.header.stamp = "map", Time(sec=1)
    buffer.set_transform(transform, "test")


def test_a_pose_that_waits_unread_after_a_standstill_is_not_missed(
    clock: Clock, buffer: tf2_ros.Buffer, queue: PoseQueue
) -> None:
    delivered, refused = [], []
    queue.put(picture(delivered, refused))
    clock.pass_by(10 * TIMEOUT)  # nothing of the node runs, then the timer does before TF
    queue.poll()
    hear(buffer)
    clock.pass_by(2 * GRACE)
    queue.poll()
    assert len(delivered) == 1 and not refused


def test_without_a_pose_it_is_given_up_a_moment_after_it_is_found_late(clock: Clock, queue: PoseQueue) -> None:
    delivered, refused = [], []
    queue.put(picture(delivered, refused))
    for seconds in (0.9 * TIMEOUT, 0.2 * TIMEOUT, 0.9 * GRACE):
        clock.pass_by(seconds)
        queue.poll()
        assert not refused
    clock.pass_by(0.2 * GRACE)
    queue.poll()
    assert "within tf.timeout (0.2 s)" in str(refused[0]) and not delivered
    assert len(queue) == 0


def test_too_many_displace_the_oldest(queue: PoseQueue) -> None:
    refused: list[list[SrayError]] = [[], [], []]
    for each in refused:
        queue.put(picture([], each))
    assert [len(each) for each in refused] == [1, 0, 0]


def test_of_too_many_those_that_have_their_pose_go_on_without_what_else_they_wait_for(
    clock: Clock, buffer: tf2_ros.Buffer, queue: PoseQueue
) -> None:
    hear(buffer)
    delivered, refused = [], []

    def put(frame: str) -> None:
        queue.put(Waiting(frame, Time(sec=1), delivered.append, refused.append, is_ready=lambda: False))
        clock.pass_by(0.05 * TIMEOUT)

    for _ in range(5):  # the queue holds two
        put("camera")
    assert len(delivered) == 3 and not refused
    for frame in ("unknown", "camera", "camera"):
        put(frame)
    assert len(delivered) == 5
    assert [str(error) for error in refused] == ["too many"], "the one without a pose"
