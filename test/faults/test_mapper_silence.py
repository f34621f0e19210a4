"""No silence: a node that puts nothing out says why, in its log and in its diagnostics.

The mapper of these tests loses patience after one second instead of five (the five are in test_mapper_poses.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig.mapper import OPTICAL_FRAME, MapperProcess, broken_mapper, time_of
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from sray.frames import Frame

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {"keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast"}
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
WARN, OK = DiagnosticStatus.WARN, DiagnosticStatus.OK


@pytest.fixture(scope="module")
def process(model_file: Path) -> Iterator[MapperProcess]:
    with broken_mapper(model_file, SETTINGS, SRAY_TEST_SILENCE=1.0) as mapper:
        yield mapper


def is_silent_because(
    mapper: MapperProcess, words: str, level: bytes = WARN, step: Callable[[int], None] = lambda number: None
) -> bool:
    """Whether log and diagnostics come to say these words, while `step` goes on every 0.2 s."""
    del mapper.diagnostics[:], mapper.rosout[:]

    def told() -> bool:
        outputs = [array.status[0] for array in mapper.diagnostics]
        by_diagnostics = any(words in status.message and status.level == level for status in outputs)
        return by_diagnostics and any("nothing has come out" in x.msg and words in x.msg for x in mapper.rosout)

    for number in range(35):
        step(number)
        if mapper.listener.until(told, 0.2):
            return True
    return False


@contextmanager
def without(mapper: MapperProcess, name: str) -> Iterator[None]:
    """A publisher of the camera is gone for so long."""
    node, publisher = mapper.listener.node, getattr(mapper, name)
    kind, topic, qos = publisher.msg_type, publisher.topic_name, publisher.qos_profile
    node.destroy_publisher(publisher)
    try:
        yield
    finally:
        setattr(mapper, name, node.create_publisher(kind, topic, qos))
    assert mapper.listener.until(getattr(mapper, name).get_subscription_count)


@pytest.mark.fault("nothing publishes `image`", code="none", says="log and diagnostics within 5 s: the topic's name",
                   recovery="as soon as the camera publishes")  # fmt: skip
def test_a_missing_camera_is_named(mapper: MapperProcess, frames: list[Frame]) -> None:
    with without(mapper, "_image"):
        assert is_silent_because(mapper, "nothing publishes /image: start the camera, or remap the topic"), mapper.lines
    assert mapper.renders(frames[:3], 90.0)


@pytest.mark.fault("a publisher that sends nothing", code="none", recovery="as soon as it sends",
                   says="log and diagnostics within 5 s: the topic's QoS")  # fmt: skip
def test_a_camera_that_sends_nothing_is_named(mapper: MapperProcess, frames: list[Frame]) -> None:
    words = "/image has a publisher (offered QoS reliable, requested reliable) but no message"
    assert is_silent_because(mapper, words), mapper.lines
    assert mapper.renders(frames[:3], 90.0)


@pytest.mark.fault("`image` is of another type", code="none", says="log and diagnostics within 5 s: both types",
                   recovery="remap it, or image_transport")  # fmt: skip
def test_a_topic_of_another_type_is_named(mapper: MapperProcess, frames: list[Frame]) -> None:
    node = mapper.listener.node
    words = (
        "/image is sensor_msgs/msg/CompressedImage; expected sensor_msgs/msg/Image. Remap it, or see image_transport"
    )
    with without(mapper, "_image"):
        other = node.create_publisher(CompressedImage, "image", 5)
        told = is_silent_because(mapper, words)
        node.destroy_publisher(other)
    assert told, mapper.lines
    assert mapper.renders(frames[:3], 90.0)


@pytest.mark.fault("a best-effort camera, and reliable delivery forced", code="none",
                   says="log and diagnostics within 5 s: offered and requested QoS",
                   recovery="qos_overrides.reliability auto, activate again")  # fmt: skip
@pytest.mark.shows("qos_overrides.reliability")
def test_qos_that_does_not_match_is_named_with_what_is_offered_and_requested(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    node, ours = mapper.listener.node, (mapper._image, mapper._info)
    assert mapper.set(qos_overrides__reliability="reliable") == ""
    try:
        mapper.start_over()
        mapper._image = node.create_publisher(Image, "image", BEST_EFFORT)
        node.destroy_publisher(ours[0])
        words = "/image: offered QoS is best_effort, requested is reliable; set qos_overrides.reliability to auto"
        assert is_silent_because(mapper, words, step=lambda n: mapper.send(frames[0], 50 + n / 5)), mapper.lines
    finally:
        assert mapper.set(qos_overrides__reliability="auto") == ""
    mapper.start_over()
    assert mapper.renders(frames[:3], 90.0)
    node.destroy_publisher(mapper._image)
    mapper._image = node.create_publisher(Image, "image", ours[0].qos_profile)


@pytest.mark.fault("a camera that offers best effort only", code="none", says="log: it subscribes so",
                   recovery="by itself (qos_overrides.reliability auto)")  # fmt: skip
def test_a_best_effort_camera_is_heard_too(mapper: MapperProcess, frames: list[Frame]) -> None:
    node, ours = mapper.listener.node, (mapper._image, mapper._info)
    mapper._image = node.create_publisher(Image, "image", BEST_EFFORT)
    mapper._info = node.create_publisher(CameraInfo, "camera_info", BEST_EFFORT)
    for publisher in ours:
        node.destroy_publisher(publisher)
    both = mapper._image, mapper._info
    assert mapper.listener.until(lambda: all(publisher.get_subscription_count() for publisher in both))
    assert mapper.renders(frames[:3], 90.0)
    mapper._image = node.create_publisher(Image, "image", ours[0].qos_profile)
    mapper._info = node.create_publisher(CameraInfo, "camera_info", ours[1].qos_profile)
    for publisher in both:
        node.destroy_publisher(publisher)


@pytest.mark.fault("images without camera_info", code="none", says="log and diagnostics within 5 s: the topic's name",
                   recovery="as soon as it is published")  # fmt: skip
def test_a_missing_camera_info_is_named(mapper: MapperProcess, frames: list[Frame]) -> None:
    image = Image(header=Header(frame_id=OPTICAL_FRAME), width=48, height=36, encoding="rgb8")

    def step(number: int) -> None:
        image.header.stamp = time_of(50 + number / 5)
        mapper._image.publish(image)

    words = "nothing publishes /camera_info: start the camera, or remap the topic"
    with without(mapper, "_info"):
        assert is_silent_because(mapper, words, step=step), mapper.lines
    assert mapper.renders(frames[:3], 90.0)


@pytest.mark.fault("stamps of image and camera_info never match", code="none",
                   says="log and diagnostics within 5 s: how far apart, sync.policy and sync.slop",
                   recovery="as soon as they match, or a larger sync.slop")  # fmt: skip
@pytest.mark.shows("sync.slop")
def test_stamps_that_never_match_are_named(mapper: MapperProcess, frames: list[Frame]) -> None:
    def apart(image: Image, info: CameraInfo) -> None:
        info.header = Header(stamp=time_of(image.header.stamp.sec + 7.0), frame_id=OPTICAL_FRAME)

    words = "no stamps match: the last ones are 7.000 s apart; sync.policy is approximate, sync.slop 0.02 s"
    mapper.send(frames[0], 40.0, spoil=apart)
    assert is_silent_because(mapper, words), mapper.lines
    assert mapper.renders(frames[:3], 90.0)


@pytest.mark.fault("a camera that stops", code="none", says="log and diagnostics within 5 s: the topic, since when",
                   recovery="as soon as it goes on")  # fmt: skip
def test_a_camera_that_stops_is_named(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.renders(frames[:3], 80.0)
    assert is_silent_because(mapper, "/image stopped "), mapper.lines
    assert mapper.renders(frames[:3], 90.0)


@pytest.mark.fault("images that TF has no poses for any more", code="NO_POSE",
                   says="log and diagnostics within 5 s: both frames and the stamp",
                   recovery="as soon as TF goes on")  # fmt: skip
def test_a_gap_in_tf_is_named(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.renders(frames[:3], 80.0)
    words = "TF has no map <- camera_optical_frame at 8"

    def step(number: int) -> None:
        mapper.send(frames[3], 83 + number / 5, with_pose=False)

    assert is_silent_because(mapper, words, step=step), mapper.lines
    assert mapper.renders(frames[3:], 95.0)


@pytest.mark.fault("the node is paused, and forgotten", code="none", says="log and diagnostics: what to call",
                   recovery="~/pause with data: false")  # fmt: skip
@pytest.mark.shows("~/pause")
def test_a_pause_is_named_as_the_reason(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.service(SetBool, "pause", SetBool.Request(data=True)).success
    assert is_silent_because(mapper, "paused: call ~/pause with data: false", OK), mapper.lines
    assert mapper.service(SetBool, "pause", SetBool.Request(data=False)).success
    assert mapper.renders(frames[:3], 90.0)


@pytest.mark.fault("the camera stands still", code="none", says="log and diagnostics: what the last image was found",
                   recovery="move it, or trigger timer")  # fmt: skip
def test_a_camera_that_stands_still_is_no_fault(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.renders(frames[:3], 80.0)

    def step(number: int) -> None:
        mapper.send(replace(frames[2]), 83 + number / 5)

    words = "images arrive; the last one is too close to a keyframe"
    assert is_silent_because(mapper, words, OK, step), mapper.lines
    assert mapper.renders(frames[3:], 95.0)
