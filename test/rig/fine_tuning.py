"""For tests: a client of ~/fine_tune, and a camera whose pictures somebody has labeled."""

from __future__ import annotations

import array
from pathlib import Path
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from rig.mapper import OPTICAL_FRAME, MapperProcess, time_of
from rig.views import LATCHED, SETTINGS, keyframes
from sray.frames import Frame
from sray_interfaces.action import FineTune
from sray_interfaces.msg import FineTuneStatus
from sray_ros.common.error_codes import ErrorCode

TUNING_SETTINGS: dict[str, Any] = {
    **SETTINGS,
    "trigger": "request",
    "keyframes.min_translation": 0.0,
    "keyframes.min_rotation": 0.0,
    "fine_tune.threads": 1,
}


class Tuned:
    """What came of a goal."""

    def __init__(self, answer: Any, feedback: list[FineTuneStatus]) -> None:
        self.status: int = answer.status
        self.result: FineTune.Result = answer.result
        self.feedback = feedback

    @property
    def code(self) -> ErrorCode:
        return ErrorCode(self.result.error_code)


class FineTuneClient:
    """Of a mapper that is there."""

    def __init__(self, mapper: MapperProcess) -> None:
        self.mapper = mapper
        self.listener, node = mapper.listener, mapper.listener.node
        self.action = ActionClient(node, FineTune, "/semantic_mapper/fine_tune")
        self.statuses = mapper.hear(FineTuneStatus, "/semantic_mapper/fine_tune/status", LATCHED)
        self.curves = mapper.hear(Image, "/semantic_mapper/fine_tune/curve", LATCHED)
        self._labels = node.create_publisher(Image, "labels", 10)
        self.feedback: list[FineTuneStatus] = []

    def close(self) -> None:
        self.action.destroy()

    def show(self, frames: list[Frame], *, labeled: bool = True, first_second: float = 100.0) -> None:
        """Send pictures, and labels for them; each becomes a keyframe."""
        seconds = self.mapper.send_in_lockstep(frames, first_second)
        if not labeled:
            return
        for _ in range(20):  # the node asks anew for a topic whose publisher it has just found: the first may be lost
            for frame, second in zip(frames, seconds, strict=True):
                self._labels.publish(labels_of(frame, second))
                self.listener.until(lambda: False, 0.03)  # its queue is short
            held = keyframes(self.mapper).keyframes
            if all(keyframe.has_labels for keyframe in held):
                return
        raise AssertionError(f"labels that met no keyframe: {held}\n{self.mapper.lines}")

    def ask(self, **goal: Any) -> ClientGoalHandle:
        assert self.listener.until(self.action.server_is_ready)
        self.feedback = []
        told = self.feedback
        future = self.action.send_goal_async(
            FineTune.Goal(**goal), lambda message: told.append(message.feedback.status)
        )
        assert self.listener.until(future.done)
        assert future.result().accepted
        return future.result()

    def answer(self, handle: ClientGoalHandle, seconds: float = 90) -> Tuned:
        future = handle.get_result_async()
        assert self.listener.until(future.done, seconds), f"no result:\n{self.mapper.log()}"
        return Tuned(future.result(), self.feedback)

    def tune(self, **goal: Any) -> Tuned:
        return self.answer(self.ask(**goal))

    def until_step(self, step: int) -> None:
        """Until so many steps are done."""
        assert self.listener.until(lambda: any(status.step >= step for status in self.feedback), 60), self.feedback[-1:]

    def model_id(self) -> str:
        """Of the model that renders."""
        return str(keyframes(self.mapper).model_id)


def labels_of(frame: Frame, second: float) -> Image:
    assert frame.labels is not None
    height, width = frame.labels.shape
    picture = Image(header=Header(stamp=time_of(second), frame_id=OPTICAL_FRAME), encoding="mono8")
    picture.height, picture.width, picture.step = height, width, width
    picture.data = array.array("B", frame.labels.numpy().tobytes())
    return picture


def jobs_left(data_dir: Path) -> list[Path]:
    """What jobs have handed over and not cleared away."""
    return sorted(data_dir.glob(".fine_tune/*"))


SUCCEEDED, ABORTED, CANCELED = (
    GoalStatus.STATUS_SUCCEEDED,
    GoalStatus.STATUS_ABORTED,
    GoalStatus.STATUS_CANCELED,
)
