"""Asking a mapper: services, parameters and views, from threads that do not spin the node. Nothing waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.task import Future
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from sray.camera import Camera
from sray.errors import CanceledError, RequestError, SrayError, StaleError
from sray_interfaces.action import FineTune, RenderView
from sray_interfaces.srv import ListKeyframes, LoadModel, SaveMap, SaveSession
from sray_ros.common.actions import send_goal
from sray_ros.common.conversions import camera_info_message, time_message
from sray_ros.common.error_codes import error_of
from sray_ros.common.poses import pose_of_matrix

PATIENCE = 60.0
"""Seconds for an answer: a session is written, or a model loaded, in less."""
LOOK = 0.01
"""Seconds between two looks at whether a view is still wanted."""
ACCEPTED = 30.0
"""Seconds for a goal to be accepted: a mapper accepts all of them, at once."""


class Mapper:
    """The mapper's node, as its client. Methods block: call them from any thread but the one that spins the node."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self._node = node
        self._render_view = ActionClient(node, RenderView, f"{name}/render_view")
        self._fine_tune = ActionClient(node, FineTune, f"{name}/fine_tune")
        services = {
            "list_keyframes": ListKeyframes, "save_session": SaveSession, "save_map": SaveMap, "load_model": LoadModel,
            "fine_tune_cancel": Trigger, "get_parameters": GetParameters,
            "set_parameters_atomically": SetParametersAtomically,
        }  # fmt: skip
        self._clients = {call: node.create_client(kind, f"{name}/{call}") for call, kind in services.items()}

    @property
    def is_there(self) -> bool:
        return bool(self._clients["list_keyframes"].service_is_ready())

    def call(self, service: str, request: Any, seconds: float = PATIENCE) -> Any:
        """The response. Raises StaleError if there is none in time, and what a response's error code says."""
        client = self._clients[service]
        if not client.service_is_ready():
            raise self.away()
        response = self._await(client.call_async(request), seconds)
        code = getattr(response, "error_code", 0)
        if code:
            raise error_of(code, response.error_text)
        return response

    def parameters(self, *names: str) -> dict[str, Any]:
        """Values by name, of those that the mapper has. Raises StaleError."""
        response = self.call("get_parameters", GetParameters.Request(names=list(names)))
        values = [parameter_value_to_python(value) for value in response.values]
        return {name: value for name, value in zip(names, values, strict=False) if value is not None}

    def set_parameters(self, **values: Any) -> None:
        """All of them or none; two underscores for a dot. Raises RequestError, StaleError."""
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=parameters)
        result = self.call("set_parameters_atomically", request).result
        if not result.successful:
            raise RequestError(result.reason)

    def view(
        self, camera: Camera, map_frame: str, stamp_ns: int = 0, canceled: Callable[[], bool] = lambda: False
    ) -> RenderView.Result:
        """What the camera would see, all outputs; `stamp_ns`: of a keyframe that is not to be rendered from.

        Raises CanceledError as soon as `canceled` returns True (the mapper's goal is canceled too), and StaleError
        without a mapper.
        """
        goal = RenderView.Goal(camera_info=camera_info_message(Header(), camera), **dict.fromkeys(OUTPUTS, True))
        goal.viewpoint = PoseStamped(pose=pose_of_matrix(camera.world_pose))
        goal.viewpoint.header = Header(frame_id=map_frame, stamp=time_message(stamp_ns))
        return self._view(goal, canceled)

    def calibration(self, camera: Camera, map_frame: str) -> Any:
        """camera_info of the camera that maps, as views are rendered for it. Raises SrayError as `view`."""
        goal = RenderView.Goal(scale=0.1)
        goal.viewpoint = PoseStamped(pose=pose_of_matrix(camera.world_pose), header=Header(frame_id=map_frame))
        result = self._view(goal, lambda: False)
        if result.error_code:
            raise error_of(result.error_code, result.error_text)
        return result.camera_info

    def _view(self, goal: RenderView.Goal, canceled: Callable[[], bool]) -> RenderView.Result:
        if self._node.executor is None or not self._render_view.server_is_ready():
            raise self.away()
        sent = send_goal(self._node, self._render_view, goal)
        try:
            answer = self._await(sent, ACCEPTED, canceled).get_result_async()
            return self._await(answer, PATIENCE, canceled).result
        except SrayError:
            sent.add_done_callback(lambda done: done.result().cancel_goal_async())
            raise

    def fine_tune(self, goal: FineTune.Goal) -> Future:
        """A future of the goal's handle. Raises StaleError without a mapper."""
        if self._node.executor is None or not self._fine_tune.server_is_ready():
            raise self.away()
        return send_goal(self._node, self._fine_tune, goal)

    def away(self) -> SrayError:
        """That there is no mapper."""
        return StaleError(f"{self.name} does not answer", "it to run, and to be active", "It is looked for again")

    def _await(self, future: Future, seconds: float, canceled: Callable[[], bool] = lambda: False) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        deadline = time.monotonic() + seconds
        while not done.wait(LOOK):
            if canceled():
                raise CanceledError("canceled: it is not wanted any more")
            if time.monotonic() > deadline:
                raise self.away()
        return future.result()


OUTPUTS = ("want_label", "want_confidence", "want_color", "want_depth", "want_coverage")
