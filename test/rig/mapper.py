"""For tests: semantic_mapper as a process of its own, and a camera that sends it posed pictures."""

from __future__ import annotations

import array
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from rig.listener import Listener
from sray.checkpoint import save_checkpoint
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.model import SemanticRay, SemanticRayConfig
from sray_interfaces.action import RenderView
from sray_interfaces.msg import Keyframe
from sray_interfaces.srv import ListKeyframes
from sray_ros.common.error_codes import ErrorCode

OPTICAL_FRAME = "camera_optical_frame"
INACTIVE, ACTIVE, UNCONFIGURED = (
    State.PRIMARY_STATE_INACTIVE,
    State.PRIMARY_STATE_ACTIVE,
    State.PRIMARY_STATE_UNCONFIGURED,
)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class MapperProcess:
    """One node, from unconfigured on, with everything it publishes for a start kept in lists."""

    def __init__(self, listener: Listener, module: str = "sray_ros.mapper.node", **parameters: Any) -> None:
        self.listener, node = listener, listener.node
        self.process = listener.start(module, **parameters)
        self.handled = listener.hear(Header, "/semantic_mapper/handled", RELIABLE)
        self.diagnostics = listener.hear(DiagnosticArray, "/diagnostics", RELIABLE)
        self.rosout = listener.hear(Log, "/rosout", QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self._image = node.create_publisher(Image, "image", RELIABLE)
        self._info = node.create_publisher(CameraInfo, "camera_info", RELIABLE)
        self._depth = node.create_publisher(Image, "depth", RELIABLE)
        self._compressed = node.create_publisher(CompressedImage, "image/compressed", RELIABLE)
        self._tf = node.create_publisher(TFMessage, "/tf", 100)
        self._change = node.create_client(ChangeState, "/semantic_mapper/change_state")
        self._get = node.create_client(GetState, "/semantic_mapper/get_state")
        self._set = node.create_client(SetParametersAtomically, "/semantic_mapper/set_parameters_atomically")
        self.render_view = ActionClient(node, RenderView, "/semantic_mapper/render_view")
        assert listener.until(self._change.service_is_ready), self.log()
        listener.meet("/semantic_mapper")

    def log(self) -> str:
        """All that the node wrote; ends it."""
        self.process.kill()
        out, err = self.process.communicate()
        return str(out + err)

    def hear(self, message_type: type, topic: str, qos: QoSProfile | int = 100) -> list[Any]:
        """What is published from now on: the node knows that we listen."""
        heard = self.listener.hear(message_type, topic, qos)
        self.listener.meet("/semantic_mapper")
        return heard

    def service(self, service_type: type, name: str, request: Any) -> Any:
        return self.listener.ask(service_type, f"/semantic_mapper/{name}", request)

    @property
    def state(self) -> int:
        return int(self.listener.call(self._get, GetState.Request()).current_state.id)

    def transition(self, number: int) -> bool:
        return bool(self.listener.call(self._change, ChangeState.Request(transition=Transition(id=number))).success)

    def configure(self) -> bool:
        return self.transition(Transition.TRANSITION_CONFIGURE)

    def activate(self) -> bool:
        done = self.transition(Transition.TRANSITION_ACTIVATE)
        publishers = (self._info, self._tf)
        images = (self._image, self._compressed)
        assert self.listener.until(
            lambda: (
                all(p.get_subscription_count() for p in publishers) and any(p.get_subscription_count() for p in images)
            )
        )
        return done

    def start_over(self) -> None:
        """Active, without keyframes and map, from whatever state."""
        if self.state == ACTIVE:
            assert self.transition(Transition.TRANSITION_DEACTIVATE)
        if self.state == INACTIVE:
            assert self.transition(Transition.TRANSITION_CLEANUP)
        assert self.configure() and self.activate()

    def set(self, **values: Any) -> str:
        """Set parameters together (two underscores for a dot); "" or the reason of the refusal."""
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        result = self.listener.call(self._set, SetParametersAtomically.Request(parameters=parameters)).result
        return "" if result.successful else str(result.reason)

    def send(
        self,
        frame: Frame,
        second: float,
        *,
        with_pose: bool = True,
        spoil: Callable[[Image, CameraInfo], None] = lambda image, info: None,
    ) -> None:
        """A picture with its camera_info, and its pose on TF."""
        stamp = time_of(second)
        header = Header(stamp=stamp, frame_id=OPTICAL_FRAME)
        if with_pose:
            self._tf.publish(TFMessage(transforms=[transform_of(frame, second)]))
        image, info = image_of(frame, header), info_of(frame, header)
        spoil(image, info)
        self._info.publish(info)
        if frame.depth is not None and self._depth.get_subscription_count():
            depth = Image(header=header, height=image.height, width=image.width, encoding="32FC1")
            depth.step, depth.data = 4 * image.width, array.array("B", frame.depth.numpy().tobytes())
            self._depth.publish(depth)
        if self._compressed.get_subscription_count():
            png = cv2.imencode(".png", cv2.cvtColor(frame.image.numpy(), cv2.COLOR_RGB2BGR))[1].tobytes()
            self._compressed.publish(CompressedImage(header=header, format="png", data=array.array("B", png)))
        else:
            self._image.publish(image)

    def send_in_lockstep(self, frames: list[Frame], first_second: float = 100.0) -> list[float]:
        """Send and wait until each was handled; returns their stamps in seconds."""
        seconds = [first_second + index for index in range(len(frames))]
        del self.handled[:]
        for frame, second in zip(frames, seconds, strict=True):
            self.send(frame, second)
            self.wait_handled(second)
        return seconds

    def wait_handled(self, second: float) -> None:
        assert self.listener.until(lambda: any(seconds_of(h.stamp) == second for h in self.handled), 30), (
            f"{second} was not handled:\n{self.log()}"
        )

    def said(self, words: str, seconds: float = 30) -> bool:
        """Whether diagnostics say something with these words from now on."""
        del self.diagnostics[:]
        return self.listener.until(
            lambda: any(words in status.message for array_ in self.diagnostics for status in array_.status), seconds
        )

    def logged(self, words: str, seconds: float = 30) -> bool:
        """Whether the node has logged these words since `rosout` was emptied, or does so in time."""
        return self.listener.until(lambda: any(words in line.msg for line in self.rosout), seconds)

    @property
    def lines(self) -> str:
        """The log since `rosout` was emptied; the node goes on, unlike after `log`."""
        return "\n".join(line.msg for line in self.rosout)

    def says(self, words: str, seconds: float = 30) -> bool:
        """Whether it says so in its log and, from now on, in its diagnostics."""
        return self.said(words, seconds) and self.logged(words, seconds)

    def tell_tf(self, *transforms: TransformStamped) -> None:
        """For poses that do not come with a picture."""
        self._tf.publish(TFMessage(transforms=list(transforms)))

    def renders(self, frames: list[Frame], first_second: float) -> bool:
        """The recovery: given good pictures, it answers with a view from where the first of them was taken."""
        self.send_in_lockstep(frames, first_second)
        goal = RenderView.Goal(want_label=True)
        goal.viewpoint.header.frame_id = "map"
        position = goal.viewpoint.pose.position
        position.x, position.y, position.z = (float(value) for value in frames[0].camera.world_pose[:3, 3])
        result = self.answer(self.ask(goal)).result
        return ErrorCode(result.error_code) is ErrorCode.OK and len(result.label.data) > 0

    def value(self, key: str) -> str | None:
        """What the last diagnostics say of a fact."""
        pairs = [pair for array_ in self.diagnostics[-1:] for status in array_.status for pair in status.values]
        return next((pair.value for pair in pairs if pair.key == key), None)

    def fact(self, key: str) -> str | None:
        """The same, of the diagnostics of from now on."""
        assert self.said("")
        return self.value(key)

    def keyframes(self) -> list[Keyframe]:
        """What the buffer holds."""
        return list(self.service(ListKeyframes, "list_keyframes", ListKeyframes.Request()).keyframes)

    def ask(self, goal: RenderView.Goal) -> Any:
        """The goal handle of an accepted goal."""
        assert self.listener.until(self.render_view.server_is_ready)
        future = self.render_view.send_goal_async(goal)
        assert self.listener.until(future.done)
        assert future.result().accepted
        return future.result()

    def answer(self, handle: Any) -> Any:
        """Status and result of a goal."""
        future = handle.get_result_async()
        assert self.listener.until(future.done), "no result"
        return future.result()


def time_of(second: float) -> Time:
    return Time(sec=int(second), nanosec=round((second - int(second)) * 1e9))


def seconds_of(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)


def transform_of(frame: Frame, second: float) -> TransformStamped:
    pose = frame.camera.world_pose
    message = TransformStamped(child_frame_id=OPTICAL_FRAME)
    message.header = Header(stamp=time_of(second), frame_id="map")
    x, y, z, w = (float(value) for value in Rotation.from_matrix(pose[:3, :3]).as_quat())
    t, r = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = (float(value) for value in pose[:3, 3])
    r.x, r.y, r.z, r.w = x, y, z, w
    return message


def image_of(frame: Frame, header: Header) -> Image:
    image = Image(header=header, height=frame.camera.height, width=frame.camera.width, encoding="rgb8")
    image.step = 3 * frame.camera.width
    image.data = array.array("B", frame.image.numpy().tobytes())
    return image


def info_of(frame: Frame, header: Header) -> CameraInfo:
    k = frame.camera.intrinsics.double().numpy()
    info = CameraInfo(header=header, height=frame.camera.height, width=frame.camera.width)
    info.k = k.reshape(-1).tolist()
    info.p = np.hstack([k, np.zeros((3, 1))]).reshape(-1).tolist()
    info.r = np.eye(3).reshape(-1).tolist()
    info.distortion_model = "plumb_bob"
    info.d = [0.0] * 5
    return info


def checkpoint(path: Path, seed: int = 0, classes: int = 3, stereo: bool = False) -> Path:
    """Random weights of the real network, for so many classes."""
    torch.manual_seed(seed)
    names = ("red", "green", "blue", "gray")[:classes]
    colors = ((200, 50, 50), (50, 200, 50), (50, 50, 200), (90, 90, 90))[:classes]
    space = LabelSpace("stripes", names, colors, tuple(range(1, classes + 1)))
    save_checkpoint(path, SemanticRay(SemanticRayConfig(classes, stereo=stereo)), space)
    return path


@contextmanager
def broken_mapper(model_file: Path, settings: dict[str, Any], **environment: object) -> Iterator[MapperProcess]:
    """A process of `broken_mapper`, which see for the environment, with a DDS domain of its own."""
    from rig.listener import listening

    with pytest.MonkeyPatch.context() as patch, listening() as listener:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        for name, value in environment.items():
            patch.setenv(name, str(value))
        yield MapperProcess(listener, "rig.broken_mapper", **{"model.path": model_file}, **settings)
