"""Poses that are late, missing, impossible or contradict each other: refused by name, and good ones then work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from geometry_msgs.msg import PoseStamped, Transform
from rig.mapper import MapperProcess, time_of, transform_of
from sensor_msgs.msg import CameraInfo, Image

from sray.frames import Frame
from sray_interfaces.action import RenderView
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {"keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast"}


def moved(frame: Frame, meters: float) -> Frame:
    """The same picture, said to be taken so much further along x."""
    pose = frame.camera.world_from_camera + torch.zeros(4, 4).index_put(
        (torch.tensor(0), torch.tensor(3)), torch.tensor(meters)
    )
    return replace(frame, camera=replace(frame.camera, world_from_camera=pose))


@pytest.mark.fault("no pose of the camera in TF", code="NO_POSE", recovery="as soon as TF has it",
                   says="log and diagnostics within 5 s: both frames and the stamp")  # fmt: skip
def test_without_poses_both_frames_and_the_stamp_are_named_within_5_s(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    del mapper.diagnostics[:], mapper.rosout[:]
    words = "TF has no map <- camera_optical_frame at 8"
    for step in range(70):
        mapper.send(frames[0], 80.0 + 0.1 * step, with_pose=False)
        if mapper.listener.until(lambda: warned(mapper, words), 0.1):
            break
    assert warned(mapper, words), mapper.lines
    assert mapper.logged(f"s: {words}"), mapper.lines  # nothing has come out for ...
    assert mapper.renders(frames[:3], 90.0)


def warned(mapper: MapperProcess, words: str) -> bool:
    outputs = [array.status[0] for array in mapper.diagnostics]
    return any(words in status.message and status.level == status.WARN for status in outputs)


@pytest.mark.fault("a pose that comes after its image, within tf.timeout", code="none", says="nowhere",
                   recovery="none needed: the image waits")  # fmt: skip
@pytest.mark.fault("a pose that comes later than tf.timeout", code="NO_POSE", says="log and diagnostics",
                   recovery="the next image with a pose, or a longer tf.timeout")  # fmt: skip
def test_a_late_pose_is_waited_for_as_long_as_tf_timeout_says(mapper: MapperProcess, frames: list[Frame]) -> None:
    del mapper.rosout[:], mapper.handled[:]
    assert mapper.set(tf__timeout=20.0) == ""
    try:
        mapper.send(frames[0], 100.0, with_pose=False)
        mapper.listener.until(lambda: False, 0.4)  # longer than the default would wait
        assert mapper.handled == []
        mapper.tell_tf(transform_of(frames[0], 100.0))
        mapper.wait_handled(100.0)
        assert len(mapper.keyframes()) == 1
    finally:
        assert mapper.set(tf__timeout=0.2) == ""
    mapper.send(frames[1], 101.0, with_pose=False)
    mapper.wait_handled(101.0)
    mapper.tell_tf(transform_of(frames[1], 101.0))
    assert mapper.says("NO_POSE: TF has no map <- camera_optical_frame at 101.000000000 within tf.timeout (0.2 s)")
    assert len(mapper.keyframes()) == 1
    assert mapper.renders(frames[2:], 102.0)


@pytest.mark.fault("two nodes publish the camera's transform, meters apart", code="BAD_POSE",
                   says="log and diagnostics: how far it jumped within how long, and what it may be",
                   recovery="stop one of them")  # fmt: skip
def test_contradictory_transforms_are_refused_until_one_of_them_stops(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    before = int(mapper.fact("refused BAD_POSE") or 0)
    del mapper.rosout[:], mapper.handled[:]
    seconds = [100.0 + 0.125 * step for step in range(6)]
    for step, second in enumerate(seconds):
        mapper.send(moved(frames[0], 3.0 * (step % 2)), second)
        mapper.wait_handled(second)
    words = "BAD_POSE: the camera's pose jumped by 3.00 m and 0 degrees within 0.125 s"
    assert mapper.says(words), mapper.lines
    assert mapper.said("two nodes publish the same transform")
    assert mapper.fact("refused BAD_POSE") == str(before + 5)
    assert len(mapper.keyframes()) == 1  # the first image, which nothing contradicts yet
    mapper.send_in_lockstep(frames[:1], 100.875)  # back at the first one's: one jump more, the last
    assert mapper.renders(frames[1:4], 101.0)


@pytest.mark.fault("the camera's pose jumps once (kidnapped, or a loop was closed)", code="BAD_POSE",
                   says="log, and the diagnostics' count",
                   recovery="by itself: the next image counts from there")  # fmt: skip
def test_a_pose_that_jumps_once_costs_one_image(mapper: MapperProcess, frames: list[Frame]) -> None:
    del mapper.rosout[:]
    mapper.send_in_lockstep(frames[:3], 200.0)
    before = int(mapper.fact("refused BAD_POSE") or 0)
    assert mapper.renders([moved(frame, 30.0) for frame in frames], 203.0)
    assert mapper.fact("refused BAD_POSE") == str(before + 1)
    assert mapper.logged("Localization was corrected, the robot was carried")
    assert [round(keyframe.pose.position.x / 30) for keyframe in mapper.keyframes()] == [0, 0, 0, 1, 1, 1, 1]


@pytest.mark.fault("the camera's frame hangs on a tree that does not reach map_frame", code="NO_POSE",
                   says="log and diagnostics, with both frames and the stamp",
                   recovery="as soon as localization joins the two")  # fmt: skip
def test_a_tree_that_is_not_connected_is_named_and_works_once_it_is(mapper: MapperProcess, frames: list[Frame]) -> None:
    def odometry(frame: Frame, second: float) -> Any:
        message = transform_of(frame, second)
        message.header.frame_id = "odom"
        return message

    del mapper.rosout[:], mapper.handled[:]
    mapper.tell_tf(odometry(frames[0], 100.0))
    mapper.send(frames[0], 100.0, with_pose=False)
    mapper.wait_handled(100.0)
    assert mapper.says("NO_POSE: TF has no map <- camera_optical_frame at 100.000000000"), mapper.lines
    localization = transform_of(moved(frames[0], 0.0), 101.0)
    localization.transform = Transform()
    localization.transform.rotation.w, localization.child_frame_id = 1.0, "odom"
    mapper.tell_tf(localization, odometry(frames[0], 101.0))
    mapper.send(frames[0], 101.0, with_pose=False)
    mapper.wait_handled(101.0)
    position = mapper.keyframes()[0].pose.position
    assert position.x == pytest.approx(float(frames[0].camera.center[0]), abs=1e-6)
    assert mapper.renders(frames[1:4], 102.0)


def no_frame(image: Image, info: CameraInfo) -> None:
    image.header.frame_id = info.header.frame_id = ""


def other_frame(image: Image, info: CameraInfo) -> None:
    image.header.frame_id = info.header.frame_id = "left_camera"


def no_stamp(image: Image, info: CameraInfo) -> None:
    image.header.stamp.sec = info.header.stamp.sec = 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(
            no_frame, "NO_POSE: the header has no frame_id",
            marks=pytest.mark.fault("an image without a frame_id", code="NO_POSE", says="log and diagnostics",
                                    recovery="the next image with one"),
        ),
        pytest.param(
            other_frame, "NO_POSE: TF has no map <- left_camera at 50.000000000 within tf.timeout (0.2 s)",
            marks=pytest.mark.fault("a camera frame that TF does not know", code="NO_POSE",
                                    says="log and diagnostics, with both frames and the stamp",
                                    recovery="as soon as TF knows it"),
        ),
        pytest.param(
            no_stamp, "NO_POSE: the header has stamp 0",
            marks=pytest.mark.fault("an image whose stamp is zero", code="NO_POSE", says="log and diagnostics",
                                    recovery="the next image with the time of its exposure"),
        ),
    ],
)  # fmt: skip
def test_a_header_that_says_too_little_is_refused(
    mapper: MapperProcess, frames: list[Frame], spoil: Callable[[Image, CameraInfo], None], words: str
) -> None:
    del mapper.handled[:], mapper.rosout[:]
    mapper.send(frames[0], 50.0, spoil=spoil)
    mapper.wait_handled(0.0 if spoil is no_stamp else 50.0)
    assert mapper.says(words), mapper.lines
    assert mapper.renders(frames[:3], 60.0)


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        pytest.param(
            "translation.x", float("inf"), "BAD_POSE: a pose has translation (",
            marks=pytest.mark.fault("an infinite pose in TF", code="BAD_POSE", recovery="the next good pose",
                                    says="log and diagnostics, with the pose"),
        ),
        pytest.param(
            "translation.x", float("nan"), "NO_POSE: TF has no map <- camera_optical_frame at 50.",
            marks=pytest.mark.fault("a NaN in TF", code="NO_POSE",
                                    says="log and diagnostics: tf2 does not take such a pose, so it is missing",
                                    recovery="the next good pose"),
        ),
        pytest.param(
            "rotation.w", 0.0, "NO_POSE: TF has no map <- camera_optical_frame at 50.",
            marks=pytest.mark.fault("a quaternion of length 0 in TF", code="NO_POSE",
                                    says="log and diagnostics: tf2 does not take such a pose, so it is missing",
                                    recovery="the next good pose"),
        ),
    ],
)  # fmt: skip
def test_an_impossible_pose_in_tf_is_refused(
    mapper: MapperProcess, frames: list[Frame], part: str, value: float, words: str
) -> None:
    del mapper.handled[:], mapper.rosout[:]
    message = transform_of(frames[0], 50.0)
    group, _, name = part.partition(".")
    if group == "rotation":
        message.transform.rotation = type(message.transform.rotation)(w=0.0)
    setattr(getattr(message.transform, group), name, value)
    mapper.tell_tf(message)
    mapper.send(frames[0], 50.0, with_pose=False)
    mapper.wait_handled(50.0)
    assert mapper.says(words), mapper.lines
    assert mapper.renders(frames[:3], 60.0)


POSES = {"nan": (float("nan"), 1.0), "infinite": (float("inf"), 1.0), "no rotation": (0.0, 0.0)}


def at(x: float, w: float, frame: str = "map") -> PoseStamped:
    pose = PoseStamped()
    pose.header.frame_id, pose.header.stamp = frame, time_of(10.0)
    pose.pose.position.x, pose.pose.orientation.w = x, w
    return pose


@pytest.mark.fault("a goal with an impossible pose", code="BAD_POSE", says="the goal's result, log and diagnostics",
                   recovery="the next goal")  # fmt: skip
@pytest.mark.parametrize("kind", list(POSES))
def test_an_impossible_pose_of_a_goal_is_its_answer(mapper: MapperProcess, frames: list[Frame], kind: str) -> None:
    del mapper.rosout[:]
    before = int(mapper.fact("refused BAD_POSE") or 0)
    result = mapper.answer(mapper.ask(RenderView.Goal(viewpoint=at(*POSES[kind])))).result
    assert ErrorCode(result.error_code) is ErrorCode.BAD_POSE
    assert "a quaternion of length 1" in result.error_text
    assert mapper.fact("refused BAD_POSE") == str(before + 1)
    assert mapper.renders(frames[:3], 60.0)


@pytest.mark.fault("a goal whose frame TF does not know", code="NO_POSE", says="the goal's result, log and diagnostics",
                   recovery="the next goal")  # fmt: skip
def test_a_goal_in_a_frame_that_tf_does_not_know_is_refused(mapper: MapperProcess, frames: list[Frame]) -> None:
    del mapper.rosout[:]
    result = mapper.answer(mapper.ask(RenderView.Goal(viewpoint=at(0.0, 1.0, "nowhere")))).result
    assert ErrorCode(result.error_code) is ErrorCode.NO_POSE
    assert "TF has no map <- nowhere at 10.000000000" in result.error_text
    assert mapper.says("TF has no map <- nowhere at 10.000000000"), mapper.lines
    assert mapper.renders(frames[:3], 60.0)


@pytest.mark.fault("a viewpoint with an impossible pose", code="BAD_POSE", says="log and diagnostics",
                   recovery="the next viewpoint")  # fmt: skip
@pytest.mark.parametrize("kind", list(POSES))
def test_an_impossible_viewpoint_is_refused_and_the_next_one_rendered(
    mapper: MapperProcess, frames: list[Frame], kind: str
) -> None:
    listener = mapper.listener
    labels = mapper.hear(Image, "/semantic_mapper/label/image", 10)
    publisher = listener.node.create_publisher(PoseStamped, "viewpoint", 1)
    assert listener.until(
        lambda: publisher.get_subscription_count() and listener.node.count_publishers("/semantic_mapper/label/image")
    )
    mapper.send_in_lockstep(frames[:3], 60.0)
    del mapper.rosout[:], labels[:]
    publisher.publish(at(*POSES[kind]))
    assert mapper.says("BAD_POSE: a pose has translation"), mapper.lines
    assert not [label for label in labels if "view" in label.header.frame_id]
    publisher.publish(at(0.05, 1.0))
    assert listener.until(lambda: any(label.header.frame_id.endswith("view_optical_frame") for label in labels))
    listener.node.destroy_publisher(publisher)
