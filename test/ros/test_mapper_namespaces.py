"""Two mappers on one machine, each in its namespace: nothing of the one is found with the other."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PlaneScene
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rig.listener import Listener, listening
from rig.mapper import RELIABLE, checkpoint, image_of, info_of, time_of, transform_of
from rig.views import SETTINGS, pose_of
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from sray.checkpoint import load_checkpoint
from sray.frames import Frame
from sray.mapping.session import Session
from sray_interfaces.srv import ListKeyframes

pytestmark = pytest.mark.ros


@dataclass
class Robot:
    """One mapper in a namespace, and its camera."""

    name: str
    listener: Listener
    model: Path
    scene: PlaneScene
    frames: list[Frame]

    def start(self, data_dir: Path) -> None:
        settings = {**SETTINGS, "model.path": self.model, "data_dir": data_dir, "session.autosave": "last"}
        self.process = self.listener.start("sray_ros.mapper.node", "-r", f"__ns:=/{self.name}", **settings)
        node = self.listener.node
        self.image = node.create_publisher(Image, f"/{self.name}/image", RELIABLE)
        self.info = node.create_publisher(CameraInfo, f"/{self.name}/camera_info", RELIABLE)
        self.viewpoint = node.create_publisher(PoseStamped, f"/{self.name}/viewpoint", RELIABLE)
        self.tf = node.create_publisher(TFMessage, "/tf", 100)
        self.labels = self.listener.hear(Image, f"/{self.name}/semantic_mapper/label/image", 10)
        self.handled = self.listener.hear(Header, f"/{self.name}/semantic_mapper/handled", RELIABLE)

    def call(self, kind: type, name: str, request: Any) -> Any:
        return self.listener.ask(kind, f"/{self.name}/semantic_mapper/{name}", request)

    def activate(self) -> None:
        for number in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            assert self.call(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=number))).success
        publishers = (self.image, self.info, self.viewpoint)
        assert self.listener.until(lambda: all(p.get_subscription_count() for p in publishers))

    def send(self, frame: Frame, second: float) -> None:
        header = Header(stamp=time_of(second), frame_id=f"{self.name}_camera")
        transform = transform_of(frame, second)
        transform.child_frame_id = header.frame_id
        self.tf.publish(TFMessage(transforms=[transform]))
        self.info.publish(info_of(frame, header))
        self.image.publish(image_of(frame, header))
        assert self.listener.until(lambda: any(h.stamp == header.stamp for h in self.handled), 30)


@pytest.fixture
def robots(tmp_path: Path) -> Iterator[list[Robot]]:
    with listening() as listener:
        robots = []
        for name, classes, size in (("a", 3, (48, 36)), ("b", 4, (60, 40))):
            model = checkpoint(tmp_path / f"{name}.safetensors", seed=classes, classes=classes)
            scene = PlaneScene(width=size[0], height=size[1])
            robots.append(Robot(name, listener, model, scene, scene.ring(3 + (name == "b"))))
        for robot in robots:
            robot.start(tmp_path / "data")
        yield robots


@pytest.mark.shows("semantic_mapper", "/tf (view)", "session.autosave", "/diagnostics")
def test_two_namespaced_mappers_do_not_mix(robots: list[Robot], tmp_path: Path) -> None:
    a, b = robots
    listener = a.listener
    told = listener.hear(TFMessage, "/tf", 100)
    diagnostics = listener.hear(DiagnosticArray, "/diagnostics", RELIABLE)
    for robot in robots:
        robot.activate()
    # At the same stamps, in turn.
    for index in range(4):
        for robot in robots:
            if index < len(robot.frames):
                robot.send(robot.frames[index], 100.0 + index)
    assert listener.until(lambda: len(a.labels) == 1 and len(b.labels) == 2)
    for robot in robots:
        listed = robot.call(ListKeyframes, "list_keyframes", ListKeyframes.Request())
        assert listed.model_id == load_checkpoint(robot.model).id
        assert [(k.width, k.height) for k in listed.keyframes] == [(robot.scene.width, robot.scene.height)] * len(
            robot.frames
        )
        for label in robot.labels:
            assert label.header.frame_id == f"{robot.name}_camera"
            assert (label.width, label.height) == (robot.scene.width, robot.scene.height)

    for x, robot in enumerate(robots):
        asked = pose_of(robot.scene.camera((0.1 * x, 0.0, 0.0)))
        asked.header.stamp = time_of(200.0)
        robot.viewpoint.publish(asked)

    def frames_of_views() -> dict[str, float]:
        transforms = [t for message in told for t in message.transforms if "view_optical_frame" in t.child_frame_id]
        return {t.child_frame_id: t.transform.translation.x for t in transforms}

    assert listener.until(lambda: len(frames_of_views()) == 2), frames_of_views()
    names = [f"{robot.name}/semantic_mapper_view_optical_frame" for robot in robots]
    np.testing.assert_allclose([frames_of_views()[name] for name in names], [0.0, 0.1], atol=1e-6)
    assert listener.until(lambda: len(a.labels) == 2 and len(b.labels) == 3)
    assert [robot.labels[-1].header.frame_id for robot in robots] == names

    del diagnostics[:]
    assert listener.until(lambda: len({array.status[0].hardware_id for array in diagnostics}) == 2)
    for array in diagnostics:
        robot = {"a/semantic_mapper": a, "b/semantic_mapper": b}[array.status[0].hardware_id]
        facts = {pair.key: pair.value for status in array.status for pair in status.values}
        assert facts["model"] == load_checkpoint(robot.model).id
        assert all(status.name.startswith(f"{robot.name}/semantic_mapper: ") for status in array.status)

    # One folder, one name for the session: each has its own all the same.
    for robot in robots:
        robot.process.send_signal(signal.SIGINT)
    for robot in robots:
        status, output = listener.finish(robot.process, 10)
        assert status == 0, output
        kept = Session.load(tmp_path / "data" / robot.name / "last.safetensors")
        assert kept.model_id == load_checkpoint(robot.model).id
        assert len(kept.keyframes) == len(robot.frames)
