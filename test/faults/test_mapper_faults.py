"""Bad input and broken parts at the node: each named in its diagnostics or its log, and the recovery after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mapper_process import ACTIVE, INACTIVE, UNCONFIGURED, MapperProcess
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_listener import Listener
from sensor_msgs.msg import CameraInfo, Image

from sray.errors import ErrorCode
from sray.frames import Frame
from sray_interfaces.action import RenderView

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {"keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast"}


def renders(mapper: MapperProcess, frames: list[Frame], first_second: float) -> bool:
    """The recovery: with good input the node answers."""
    mapper.send_in_lockstep(frames, first_second)
    goal = RenderView.Goal()
    goal.viewpoint.header.frame_id = "map"
    return ErrorCode(mapper.answer(mapper.ask(goal)).result.error_code) is ErrorCode.OK


def test_a_corrupt_checkpoint_is_refused_and_a_good_one_then_configures(
    listener: Listener, tmp_path: Path, model_file: Path
) -> None:
    corrupt = tmp_path / "corrupt.safetensors"
    corrupt.write_bytes(model_file.read_bytes()[:-1000])
    mapper = MapperProcess(listener, **{"model.path": corrupt})
    assert not mapper.configure()
    assert mapper.state == UNCONFIGURED
    assert mapper.said("BAD_FILE")
    assert mapper.set(model__path=str(tmp_path / "missing.safetensors")) == ""
    assert not mapper.configure()
    assert mapper.set(model__path=str(model_file), model__device="cuda:77") == ""
    assert not mapper.configure()
    assert mapper.set(model__device="cpu") == ""
    assert mapper.configure()
    assert mapper.state == INACTIVE
    assert mapper.activate()
    assert mapper.state == ACTIVE
    output = mapper.log()
    assert f"cannot configure: BAD_FILE: {corrupt} cannot be read" in output
    assert "missing.safetensors does not exist" in output
    assert "model.device is 'cuda:77'" in output


def test_nonsense_on_the_command_line_stops_the_node_with_its_name(listener: Listener) -> None:
    process = listener.start("sray_ros.semantic_mapper", trigger="sometimes")
    status, output = listener.finish(process)
    assert status == 1
    assert "trigger is 'sometimes'; expected one of" in output


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("uncalibrated", "BAD_CAMERA_INFO: camera_info has K[0] = 0"),
        ("other size", "BAD_CAMERA_INFO: camera_info has size 96x36, but the image is 48x36"),
        ("unknown encoding", "BAD_ENCODING: an image with encoding 'infrared9'"),
        ("cut short", "BAD_ENCODING: an image with encoding 'rgb8'"),
        ("no frame", "NO_POSE: the header has no frame_id"),
        ("no stamp", "NO_POSE: the header has stamp 0"),
    ],
)
def test_a_bad_message_is_refused_by_name_and_a_good_one_then_works(
    mapper: MapperProcess, frames: list[Frame], spoil: str, words: str
) -> None:
    def spoiled(image: Image, info: CameraInfo) -> None:
        if spoil == "uncalibrated":
            info.k[0] = 0.0
        elif spoil == "other size":
            info.width = 96
        elif spoil == "unknown encoding":
            image.encoding = "infrared9"
        elif spoil == "cut short":
            image.data = image.data[:100]
        elif spoil == "no frame":
            image.header.frame_id = ""
        else:
            image.header.stamp.sec = info.header.stamp.sec = 0

    del mapper.handled[:]
    mapper.send(frames[0], 50.0, spoil=spoiled)
    mapper.wait_handled(0.0 if spoil == "no stamp" else 50.0)
    assert mapper.said(words), mapper.log()
    assert renders(mapper, frames[:3], 60.0)


def test_a_pose_that_is_not_finite_is_refused(mapper: MapperProcess, frames: list[Frame]) -> None:
    goal = RenderView.Goal()
    goal.viewpoint.header.frame_id = "map"
    goal.viewpoint.pose.position.x = float("nan")
    assert ErrorCode(mapper.answer(mapper.ask(goal)).result.error_code) is ErrorCode.BAD_POSE
    goal.viewpoint.pose.position.x = 0.0
    goal.viewpoint.header.frame_id = "nowhere"
    answer = mapper.answer(mapper.ask(goal)).result
    assert ErrorCode(answer.error_code) is ErrorCode.NO_POSE
    assert "nowhere" in answer.error_text
    assert renders(mapper, frames[:3], 70.0)


def test_without_images_the_diagnostics_name_the_topic_and_without_poses_the_gap(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    assert mapper.said("/image has a publisher (offered QoS reliable, requested reliable) but no message", 15)
    del mapper.handled[:]
    for second in (80.0, 80.5, 81.0):
        mapper.send(frames[0], second, with_pose=False)
        mapper.wait_handled(second)
    # Nothing came out since the activation, so the reason is there at once.
    mapper.send(frames[0], 81.5, with_pose=False)
    assert mapper.said("TF has no map <- camera_optical_frame at 81.5", 15)
    assert renders(mapper, frames[:3], 90.0)


def test_a_best_effort_camera_is_heard_too(mapper: MapperProcess, frames: list[Frame]) -> None:
    node = mapper.listener.node
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    reliable_ones = mapper._image, mapper._info
    mapper._image = node.create_publisher(Image, "image", best_effort)
    mapper._info = node.create_publisher(CameraInfo, "camera_info", best_effort)
    for publisher in reliable_ones:
        node.destroy_publisher(publisher)
    both = mapper._image, mapper._info
    assert mapper.listener.until(lambda: all(publisher.get_subscription_count() for publisher in both))
    assert renders(mapper, frames[:3], 95.0)
