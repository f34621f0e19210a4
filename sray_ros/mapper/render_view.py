"""The ~/render_view action: a goal becomes a request for the worker; its rendering becomes the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from std_msgs.msg import Header

from sray.errors import SrayError
from sray.mapping.mapper import Rendering
from sray_interfaces.action import RenderView
from sray_ros.common.actions import action_server, settle
from sray_ros.common.awaiting import awaited
from sray_ros.common.conversions import image_message
from sray_ros.common.error_codes import ErrorCode, code_of
from sray_ros.mapper.api import RENDER_VIEW
from sray_ros.mapper.outputs import Publications, view_messages
from sray_ros.mapper.pacing import Effort
from sray_ros.mapper.scene import Scene

RESULT_SECONDS = 30
"""How long a result, with its images, is kept for a client that has not fetched it."""

OUTPUTS = {
    "label": "label/image",
    "confidence": "label/confidence",
    "color": "color/image",
    "depth": "depth/image",
    "coverage": "coverage",
}
"""Fields of the result, and the topics that carry the same picture."""


class RenderViewServer:
    """Answers in every lifecycle state; `ask` hands a goal on, and refuses it where the node cannot scene."""

    def __init__(self, node: Node, ask: Callable[[ServerGoalHandle, Future[RenderView.Result]], None]) -> None:
        self._node = node
        self._ask = ask
        self.answering = 0
        """Goals that have no result yet."""
        self._server = action_server(node, RENDER_VIEW, self._execute, ReentrantCallbackGroup(), RESULT_SECONDS)

    def close(self) -> None:
        self._server.destroy()

    async def _execute(self, goal: ServerGoalHandle) -> RenderView.Result:
        self.answering += 1
        try:
            return await self._answer(goal)
        finally:
            self.answering -= 1

    async def _answer(self, goal: ServerGoalHandle) -> RenderView.Result:
        started = time.monotonic()
        future: Future[RenderView.Result] = Future()
        self._ask(goal, future)
        result = await awaited(self._node, future)
        result.seconds = time.monotonic() - started
        settle(goal, result.error_code)
        return result


def refusal(error: SrayError) -> RenderView.Result:
    return RenderView.Result(error_code=int(code_of(error)), error_text=str(error))


def result_of(
    goal: RenderView.Goal,
    rendering: Rendering,
    effort: Effort,
    scene: Scene,
    header: Header,
    publications: Publications,
) -> RenderView.Result:
    """What was asked for; the other outputs stay empty."""
    result = RenderView.Result(error_code=int(ErrorCode.OK))
    messages = view_messages(header, rendering.view, scene.checkpoint.label_space)
    for field, topic in OUTPUTS.items():
        if getattr(goal, f"want_{field}"):
            setattr(result, field, messages[topic]())
    if goal.want_points:
        result.points = publications.cloud(header.stamp, scene.mapper.cloud_of(rendering.view))
    result.camera_info = messages["label/camera_info"]()
    result.scale, result.quality = (goal.scale or 1.0) * effort.scale, effort.quality
    result.keyframe_ids = [keyframe.number for keyframe in rendering.sources]
    result.model_id = scene.checkpoint.id
    result.map_revision = scene.mapper.keyframes.revision
    return result


def preview_of(rendering: Rendering, scene: Scene, header: Header) -> RenderView.Feedback:
    colors = scene.checkpoint.label_space.colorize(rendering.view.labels.numpy())
    return RenderView.Feedback(fraction=0.0, preview=image_message(header, colors, "rgb8"))


def progress_of(goal: ServerGoalHandle) -> Callable[[float], None]:
    """Feedback ten times a second at most: a render has hundreds of chunks."""
    last = 0.0

    def progress(fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last >= 0.1:
            last = time.monotonic()
            goal.publish_feedback(RenderView.Feedback(fraction=float(fraction)))

    return progress
