"""How long a picture waits for what belongs to it: its depth, its camera_info. Messages are handed over by the test."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from rig.intake import NEW, OLD, Bench, open_bench
from sensor_msgs.msg import CameraInfo, Image

from sray_ros.common.conversions import nanoseconds
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_bench() as opened:
        yield opened


@pytest.mark.fault("the depth camera stops", code="none", says="nothing: depth is optional",
                   recovery="after a second images no longer wait for it, until it is back")  # fmt: skip
def test_images_wait_for_depth_until_it_has_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pose()
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    bench.hear_depth(NEW)
    stamps = [NEW + number * 16_000_000 for number in range(1, 90)]
    arrived = []
    for stamp in stamps:
        now += 0.016
        for kind in (Image, CameraInfo):
            bench.hear(kind, stamp)
        arrived += bench.arrived
    # None is refused for depth that does not come: when too many wait, the oldest goes on without it. After a second
    # none waits any more: those that did arrive at once, one more than may wait for the worker.
    assert len(arrived) == len(stamps) - 1 and arrived == sorted(arrived)
    assert not bench.health.refusals[ErrorCode.NO_POSE]
    bench.hear_depth(stamps[-1])
    bench.hear(Image, stamps[-1] + 16_000_000)
    bench.hear(CameraInfo, stamps[-1] + 16_000_000)
    assert bench.arrived == [], "depth is back"


def test_depth_of_a_slow_camera_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pose()
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for number in range(3):
        now += 5.0
        stamp = NEW + number * 5_000_000_000
        for kind in (Image, CameraInfo):
            bench.hear(kind, stamp)
        assert bench.arrived == ([] if number else [stamp])
        bench.hear_depth(stamp)
        bench.intake.poll()
        assert bench.arrived == ([stamp] if number else [])


def test_depth_of_rare_images_that_comes_before_them_is_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pose()
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for number in range(4):  # as the player sends them: depth first
        now += 3.3
        stamp = NEW + number * 3_300_000_000
        bench.hear_depth(stamp)
        for kind in (Image, CameraInfo):
            bench.hear(kind, stamp)
        assert bench.depth_arrived == [(stamp, stamp)]


def test_depth_that_comes_first_after_a_jump_back_is_found(bench: Bench) -> None:
    bench.pose()
    for stamp in (OLD, NEW, NEW + 33_000_000):
        bench.hear_depth(stamp)
        for kind in (Image, CameraInfo):
            bench.hear(kind, stamp)
        bench.pose()
        assert bench.depth_arrived == [(stamp, stamp)]


def test_depth_left_over_from_before_a_jump_back_settles_no_image(bench: Bench) -> None:
    bench.pose()
    bench.hear_depth(OLD)
    for stamp in (OLD, NEW):
        for kind in (Image, CameraInfo):
            bench.hear(kind, stamp)
    bench.pose()
    assert bench.depth_arrived == []  # the old one was dropped with what waits
    bench.hear_depth(OLD + 33_000_000)
    bench.pose()
    assert bench.depth_arrived == []
    bench.hear_depth(NEW)
    bench.pose()
    assert bench.depth_arrived == [(NEW, NEW)]


def test_depth_of_a_short_recording_that_starts_again_is_found(bench: Bench) -> None:
    """Faster than real time: half a second after the jump its depth is beyond half of the recording again."""
    bench.pose()
    stamps = [NEW + number * 50_000_000 for number in range(40)]
    for stamps_ns in (stamps, stamps):
        found = []
        for stamp in stamps_ns:
            for kind in (Image, CameraInfo):
                bench.hear(kind, stamp)
            bench.hear_depth(stamp)
            bench.pose()
            found += bench.depth_arrived
        assert [depth for _, depth in found[-30:]] == stamps[-30:]


def test_an_image_keeps_its_depth_while_it_waits_for_its_pose(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    arrived = []
    for number in range(120):  # depth at 30 Hz, every sixth with an image, TF half a second late
        now += 1 / 30
        stamp = NEW + number * 33_333_333
        bench.hear_depth(stamp)
        for kind in (Image, CameraInfo) if number % 6 == 0 else ():
            bench.hear(kind, stamp)
        bench.hear_pose(stamp - 500_000_000)
        arrived += bench.depth_arrived
    assert len(arrived) == 18
    assert all(stamp == depth_stamp for stamp, depth_stamp in arrived)


@pytest.mark.fault("camera_info of a picture is lost", code="BAD_CAMERA_INFO", says="log and diagnostics: its stamp",
                   recovery="after two seconds the picture is given up; a player in lockstep goes on")  # fmt: skip
def test_a_picture_whose_camera_info_is_lost_is_given_up_in_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pose()
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    bench.hear(Image, NEW)
    now += 60.0
    bench.intake.poll()
    assert bench.handled == [], "no camera_info has ever come: that is told as silence"
    bench.hear(CameraInfo, NEW)
    assert bench.arrived == [NEW]
    bench.hear(Image, lost := NEW + 33_000_000)
    now += 1.9
    bench.intake.poll()
    assert bench.handled == []
    now += 0.2
    bench.intake.poll()
    assert [nanoseconds(header.stamp) for header in bench.handled] == [lost]
    assert bench.health.refusals[ErrorCode.BAD_CAMERA_INFO] == 1
    bench.hear(CameraInfo, lost)  # after all
    assert bench.arrived == []
    bench.hear(Image, NEW + 66_000_000)
    bench.hear(CameraInfo, NEW + 66_000_000)
    assert bench.arrived == [NEW + 66_000_000] and len(bench.handled) == 1
