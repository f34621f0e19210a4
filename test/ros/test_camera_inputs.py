"""What is matched around a jump back in time, whoever tells of it first. Messages are handed over by the test."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from builtin_interfaces.msg import Time
from rig.intake import NEW, OLD, Bench, open_bench
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sray.errors import SrayError
from sray_ros.common.conversions import nanoseconds, time_message
from sray_ros.common.error_codes import ErrorCode, NoPoseError
from sray_ros.mapper.frame_reader import _check_frame
from sray_ros.mapper.lanes import IMAGES, LABELS
from sray_ros.mapper.pose_queue import Waiting

pytestmark = pytest.mark.ros


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


@pytest.mark.fault(
    "a bag starts again: the clock's jump is told between the first image and its camera_info", code="none",
    says="the log: jumped back; clearing pending work", recovery="the first new image is matched as any other",
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


def test_an_image_that_finds_no_camera_info_is_told_of_and_handled(bench: Bench) -> None:
    bench.pose()
    for stamp in (NEW, NEW + 100_000_000, NEW + 200_000_000):
        bench.hear(Image, stamp)
    bench.hear(CameraInfo, NEW + 200_000_000)
    assert bench.arrived == [NEW + 200_000_000]
    assert [nanoseconds(header.stamp) for header in bench.handled] == [NEW, NEW + 100_000_000]
    assert {header.frame_id for header in bench.handled} == {"camera"}
    assert bench.health.refusals[ErrorCode.BAD_CAMERA_INFO] == 2
    assert "found no /camera_info within sync.slop" in str(bench.health.last_refusal)


def test_of_images_that_never_match_the_oldest_is_given_up(bench: Bench) -> None:
    for number in range(25):
        bench.hear(Image, NEW + number * 100_000_000)
    assert len(bench.handled) == 0  # four times sync.queue_size may wait, of image and camera_info together
    for number in range(25, 45):
        bench.hear(Image, NEW + number * 100_000_000)
    assert len(bench.handled) == 5


@pytest.mark.parametrize("stops", [Image, CameraInfo])
def test_what_stopped_is_named_not_what_waits_for_it(
    bench: Bench, stops: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.pose()
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for kind in (Image, CameraInfo):
        bench.hear(kind, NEW)
    assert bench.intake.inputs.why_stopped(5.0) is None
    now = 1006.0
    bench.hear(CameraInfo if stops is Image else Image, NEW + 6_000_000_000)
    name = "/image" if stops is Image else "/camera_info"
    assert bench.intake.inputs.why_stopped(5.0) == f"{name} stopped 6 s ago"
    bench.hear(stops, NEW + 6_500_000_000)
    assert "no stamps match: the last ones are 0.500 s apart" in str(bench.intake.inputs.why_stopped(5.0))


@pytest.mark.fault("a stamp before 1970", code="none", says="nothing: the message does not count as received",
                   recovery="the next image")  # fmt: skip
def test_a_negative_stamp_harms_nobody(bench: Bench) -> None:
    bench.pose()
    for kind in (Image, CameraInfo):
        bench.hear(kind, -5_000_000_000)
    for kind in (Image, CameraInfo):
        bench.hear(kind, NEW)
    assert bench.arrived == [NEW]


def test_one_item_that_cannot_be_looked_up_takes_no_other_with_it(bench: Bench) -> None:
    bench.pose()
    delivered: list[object] = []
    refused: list[SrayError] = []

    def waiting(second: int) -> Waiting:
        return Waiting("camera", Time(sec=second), delivered.append, refused.append)

    bench.poses.put(waiting(-1))
    bench.poses.put(waiting(5))
    assert (len(delivered), [type(error) for error in refused]) == (1, [NoPoseError])
    monkey = bench.tf.lookup_transform
    bench.tf.lookup_transform = lambda *args: (_ for _ in ()).throw(ArithmeticError("tf2"))  # type: ignore[method-assign]
    bench.poses.put(waiting(6))
    bench.tf.lookup_transform = monkey  # type: ignore[method-assign]
    bench.poses.put(waiting(7))
    assert (len(delivered), len(refused)) == (2, 2)
    assert bench.poses.last_gap == ""


def test_depth_is_that_of_the_image_not_the_last_one(bench: Bench) -> None:
    bench.pose()

    def arrivals() -> list[tuple[int, int]]:
        waiting = [job.arrival for job in bench.inbox.drain(IMAGES)]
        return [(each.stamp_ns, nanoseconds(each.depth.header.stamp)) for each in waiting]

    period = 16_000_000  # shorter than the slop
    bench.hear_depth(NEW)
    for kind in (Image, CameraInfo):
        bench.hear(kind, NEW + period)
    bench.intake.poll()
    assert arrivals() == []  # the last frame's depth is near enough, and not this one's
    bench.hear_depth(NEW + period)
    bench.intake.poll()
    assert arrivals() == [(NEW + period, NEW + period)]


@pytest.mark.parametrize("frame", ["/camera", "/camera_depth"])
def test_a_slash_before_the_frame_of_depth_makes_it_no_other_one(bench: Bench, frame: str) -> None:
    bench.pose()
    bench.pose("camera_depth")  # where the color camera is, by TF
    bench.hear_depth(NEW, frame)
    for kind in (Image, CameraInfo):
        bench.hear(kind, NEW)
    [job] = bench.inbox.drain(IMAGES)
    assert job.arrival.depth.header.frame_id == frame
    assert (job.arrival.camera_from_depth is None) == (frame == "/camera")
    _check_frame(job.arrival, job.arrival.depth)


def test_labels_are_taken_during_a_pause_and_after_a_jump(bench: Bench) -> None:
    bench.intake._context.is_paused = True
    bench.intake.on_labels(Image(header=Header(stamp=time_message(NEW))))
    bench.clock_jumps()
    bench.intake._on_pose_jump("the camera's pose jumped")
    assert [nanoseconds(job.image.header.stamp) for job in bench.inbox.drain(LABELS)] == [NEW]


@pytest.mark.parametrize("topic", ["depth", "info"])
def test_a_message_left_over_from_before_the_jump_costs_no_new_image(bench: Bench, topic: str) -> None:
    bench.pose()
    for kind in (Image, CameraInfo):
        bench.hear(kind, OLD)
    assert bench.arrived == [OLD]
    bench.hear(CameraInfo, NEW)  # tells of the jump
    late = bench.intake.inputs.depth if topic == "depth" else bench.intake.inputs.info
    assert late is not None
    kind = Image if topic == "depth" else CameraInfo
    late._on_message(kind(header=Header(stamp=time_message(OLD + 33_000_000), frame_id="camera")))
    late._on_message(kind(header=Header(stamp=time_message(NEW + 1), frame_id="camera")))
    bench.hear(Image, NEW)
    bench.pose()
    assert bench.arrived == [NEW]
