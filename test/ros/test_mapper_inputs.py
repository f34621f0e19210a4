"""How inputs come together: matching by stamp, waiting for poses, calibration, frames; each parameter by its effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene
from geometry_msgs.msg import PoseArray, PoseStamped, TransformStamped
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig.mapper import OPTICAL_FRAME, MapperProcess, image_of, info_of, time_of, transform_of
from rig.views import LATCHED, as_started, keyframes, pose_of, stamps, view
from rig.views import SETTINGS as EXACT
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from sray.frames import Frame
from sray.mapping.session import Session
from sray_interfaces.srv import SaveSession

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {**EXACT, "trigger": "request"}


@pytest.fixture(autouse=True)
def others_as_started(process: MapperProcess) -> Iterator[None]:
    yield
    assert process.set(**as_started(SETTINGS)) == ""


def late_by(seconds: float) -> Callable[[Image, CameraInfo], None]:
    def spoil(image: Image, info: CameraInfo) -> None:
        stamp = image.header.stamp
        info.header = Header(stamp=time_of(stamp.sec + seconds), frame_id=OPTICAL_FRAME)

    return spoil


@pytest.mark.shows("sync.policy", "sync.slop", "camera_info", "image")
@pytest.mark.parametrize(
    ("parameters", "apart", "is_matched"),
    [
        ({"sync__policy": "approximate", "sync__slop": 0.02}, 0.01, True),
        ({"sync__policy": "approximate", "sync__slop": 0.005}, 0.01, False),
        ({"sync__policy": "approximate", "sync__slop": 0.3}, 0.25, True),
        ({"sync__policy": "exact", "sync__slop": 0.3}, 0.01, False),
        ({"sync__policy": "exact", "sync__slop": 0.3}, 0.0, True),
    ],
)
def test_image_and_camera_info_are_matched_as_configured(
    process: MapperProcess, frames: list[Frame], parameters: dict[str, Any], apart: float, is_matched: bool
) -> None:
    assert process.set(**parameters) == ""
    process.start_over()  # takes effect when activated
    process.send(frames[0], 100.0, spoil=late_by(apart))
    process.send_in_lockstep(frames[1:2], 105.0)  # what follows is handled, and what went before was decided
    assert stamps(process) == [100.0, 105.0][not is_matched :]


@pytest.mark.shows("sync.queue_size")
def test_as_many_messages_wait_for_their_match_as_configured(process: MapperProcess, frames: list[Frame]) -> None:
    for size, matched in ((2, [102.0, 103.0]), (10, [100.0, 101.0, 102.0, 103.0])):
        assert process.set(sync__queue_size=size, tf__timeout=20.0) == ""
        process.start_over()
        del process.handled[:]
        headers = [Header(stamp=time_of(100.0 + i), frame_id=OPTICAL_FRAME) for i in range(4)]
        for frame, header in zip(frames, headers, strict=False):
            process._tf.publish(TFMessage(transforms=[transform_of(frame, header.stamp.sec)]))
            process._image.publish(image_of(frame, header))
        # Once all four have come, the calibrations do.
        assert process.listener.until(lambda: process.value("images received") == "4")
        for frame, header in zip(frames, headers, strict=False):
            process._info.publish(info_of(frame, header))
        process.wait_handled(103.0)
        assert stamps(process) == matched


@pytest.mark.shows("tf.timeout", "error NO_POSE", "~/handled", "/tf")
def test_a_pose_is_waited_for_as_long_as_configured(process: MapperProcess, frames: list[Frame]) -> None:
    assert process.set(tf__timeout=0.0) == ""
    process.start_over()
    del process.handled[:]
    process.send(frames[0], 100.0, with_pose=False)
    process.wait_handled(100.0)  # refused at once
    process._tf.publish(TFMessage(transforms=[transform_of(frames[0], 100.0)]))
    assert process.said("NO_POSE")
    assert "tf.timeout (0 s)" in process.diagnostics[-1].status[1].message
    assert stamps(process) == []
    assert process.set(tf__timeout=30.0) == ""
    process.send(frames[1], 101.0, with_pose=False)
    del process.diagnostics[:]
    assert process.listener.until(lambda: len(process.diagnostics) >= 2)  # a second passes
    assert [header.stamp.sec for header in process.handled] == [100]
    process._tf.publish(TFMessage(transforms=[transform_of(frames[1], 101.0)]))
    process.wait_handled(101.0)
    assert stamps(process) == [101.0]


@pytest.mark.shows("camera.rectified", "camera_info")
def test_a_rectified_image_is_taken_as_it_is_with_p_and_any_other_is_undistorted_with_k(
    process: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    k = np.array([[40.0, 0, 23.5], [0, 40.0, 17.5], [0, 0, 1]])
    p = np.array([[36.0, 0, 22.0, 0], [0, 37.0, 16.0, 0], [0, 0, 1, 0]])
    d = [-0.2, 0.05, 0.001, -0.002, 0.0]

    def lens(image: Image, info: CameraInfo) -> None:
        info.k, info.p, info.d = k.reshape(-1).tolist(), p.reshape(-1).tolist(), d

    for is_rectified in (True, False):
        assert process.set(camera__rectified=is_rectified) == ""
        process.start_over()
        del process.handled[:]
        for second, frame in enumerate(frames[:3], 100):
            process.send(frame, float(second), spoil=lens)
            process.wait_handled(float(second))
        process.service(SaveSession, "save_session", SaveSession.Request(file="lens"))
        (_, kept), *_ = Session.load(data_dir / "lens.safetensors").keyframes
        raw = frames[0].image.numpy()
        np.testing.assert_allclose(kept.camera.intrinsics, p[:, :3] if is_rectified else k)
        expected = raw if is_rectified else cv2.undistort(raw, k, np.array(d))
        # OpenCV's undistort works on fixed-point tables.
        assert np.abs(kept.image.numpy().astype(int) - expected).max() <= (0 if is_rectified else 12)
        assert is_rectified or np.abs(kept.image.numpy().astype(int) - raw).max() > 50
        info = view(process, frames[0].camera).camera_info  # of the last camera
        np.testing.assert_allclose(np.array(info.k).reshape(3, 3), p[:, :3] if is_rectified else k)


@pytest.mark.shows("map_frame", "/tf_static", "~/points", "~/map", "~/keyframes", "~/list_keyframes")
def test_everything_is_in_the_configured_map_frame(process: MapperProcess, frames: list[Frame]) -> None:
    listener = process.listener
    static = listener.node.create_publisher(TFMessage, "/tf_static", LATCHED)
    offset = np.array([1.0, -2.0, 0.5])
    site_from_map = TransformStamped(header=Header(frame_id="site"), child_frame_id="map")
    t = site_from_map.transform.translation
    t.x, t.y, t.z = offset.tolist()
    static.publish(TFMessage(transforms=[site_from_map]))  # once, long before anybody asks
    clouds = process.hear(PointCloud2, "/semantic_mapper/points", 10)
    maps = process.hear(PointCloud2, "/semantic_mapper/map", LATCHED)
    poses = process.hear(PoseArray, "/semantic_mapper/keyframes", LATCHED)
    viewpoint = listener.node.create_publisher(PoseStamped, "viewpoint", 1)
    told = process.hear(TFMessage, "/tf", 100)
    try:
        assert process.set(map_frame="site", trigger="keyframe") == ""
        process.start_over()
        for heard in (clouds, maps, poses):
            del heard[:]  # latched, of before
        process.send_in_lockstep(frames)
        listed = keyframes(process)
        assert listed.map_frame == "site"
        for keyframe, frame in zip(listed.keyframes, frames, strict=True):
            p = keyframe.pose.position
            np.testing.assert_allclose(
                [p.x, p.y, p.z], frame.camera.world_from_camera[:3, 3].numpy() + offset, atol=1e-5
            )
        assert listener.until(lambda: clouds and maps and poses and len(poses[-1].poses) == 5)
        assert {message.header.frame_id for message in (*clouds, *maps, *poses)} == {"site"}
        asked = pose_of(frames[0].camera)  # in the frame "map", which TF brings to "site"
        asked.header.stamp.sec = 103
        assert listener.until(viewpoint.get_subscription_count)
        viewpoint.publish(asked)

        def of_view() -> list[Any]:
            return [t for m in told for t in m.transforms if t.child_frame_id.endswith("view_optical_frame")]

        assert listener.until(of_view)
        assert of_view()[0].header.frame_id == "site"
        t = of_view()[0].transform.translation
        np.testing.assert_allclose(
            [t.x, t.y, t.z], frames[0].camera.world_from_camera[:3, 3].numpy() + offset, atol=1e-5
        )
    finally:
        for publisher in (static, viewpoint):
            listener.node.destroy_publisher(publisher)


RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.mark.shows("qos_overrides.reliability")
def test_the_reliability_asked_of_the_inputs_can_be_overridden(process: MapperProcess, frames: list[Frame]) -> None:
    node = process.listener.node

    def asked() -> set[Any]:
        infos = [s for topic in ("image", "camera_info", "labels") for s in node.get_subscriptions_info_by_topic(topic)]
        return {info.qos_profile.reliability for info in infos if info.node_name == "semantic_mapper"}

    for value, expected in (("best_effort", BEST_EFFORT), ("reliable", RELIABLE), ("auto", RELIABLE)):
        assert process.set(qos_overrides__reliability=value) == ""
        process.start_over()
        assert process.listener.until(lambda expected=expected: asked() == {expected})
        process.send_in_lockstep(frames[:1])
        assert stamps(process) == [100.0]
    # What is asked for decides: a best effort camera is not heard where reliable delivery is insisted on.
    assert process.set(qos_overrides__reliability="reliable") == ""
    process.start_over()
    lossy = node.create_publisher(Image, "image", QoSProfile(depth=5, reliability=BEST_EFFORT))
    assert not process.listener.until(lossy.get_subscription_count, 1)
    node.destroy_publisher(lossy)


@pytest.mark.shows("image_transport", "image/compressed")
def test_the_compressed_topic_goes_with_the_image_topic_and_is_heard_instead(
    process: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    pictures = {}
    for transport in ("raw", "compressed"):
        assert process.set(image_transport=transport) == ""
        process.start_over()
        counts = (process._image.get_subscription_count(), process._compressed.get_subscription_count())
        assert counts == ((1, 0) if transport == "raw" else (0, 1))
        process.send_in_lockstep(frames[:2])
        process.service(SaveSession, "save_session", SaveSession.Request(file=transport))
        pictures[transport] = Session.load(data_dir / f"{transport}.safetensors").keyframes[0][1].image
    assert torch.equal(pictures["raw"], pictures["compressed"])
    assert torch.equal(pictures["raw"], frames[0].image)


@pytest.mark.shows("image")
def test_a_camera_of_another_size_is_brought_to_the_first_ones(process: MapperProcess, frames: list[Frame]) -> None:
    process.start_over()
    process.send_in_lockstep(frames[:2])
    larger = PlaneScene(width=96, height=72)
    process.send_in_lockstep([replace(larger.frame((1.0, 0.0, 0.0)), depth=None)], 110.0)
    assert [(k.width, k.height) for k in keyframes(process).keyframes] == [(48, 36)] * 3
