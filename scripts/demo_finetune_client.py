"""Asks a mapper to learn the room, and looks at it before, meanwhile and after: a ROS client in a process of its own.

    python scripts/demo_finetune_client.py FOLDER --keyframes 32 --steps 200

Reads FOLDER/unseen.npz (poses, intrinsics and size of the cameras to look from). Writes FOLDER/received/: the views as
PNG before and after, the curve as the node draws it, and client.json with all that the action said.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
import tyro
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image

from sray_interfaces.action import FineTune, RenderView
from sray_interfaces.srv import ListKeyframes
from sray_ros.common.conversions import read_image, read_labels
from sray_ros.common.error_codes import ErrorCode
from sray_ros.common.poses import pose_of_matrix

MAPPER = "/semantic_mapper"


@dataclass
class Client:
    """What to ask for."""

    folder: tyro.conf.Positional[Path]
    keyframes: int = 32
    """Labeled keyframes to wait for."""
    steps: int = 200
    time_limit: float = 540.0
    every: float = 4.0
    """Seconds from one view that is asked for during the learning to the next."""
    patience: float = 120.0
    """Seconds to wait for the mapper and its keyframes."""

    def main(self) -> int:
        rclpy.init(args=[])
        node = rclpy.create_node("demo_finetune_client")
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            return self._run(node, executor)
        finally:
            rclpy.try_shutdown()

    def _run(self, node: Node, executor: SingleThreadedExecutor) -> int:
        received = self.folder / "received"
        mapper = Mapper(node, executor)
        goals = list(view_goals(self.folder / "unseen.npz"))
        curve: list[Image] = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(Image, f"{MAPPER}/fine_tune/curve", curve.append, latched)
        mapper.await_labeled(self.keyframes, self.patience)
        print("looking at the room as the model knows it", flush=True)
        before = [save(mapper.view(goal), received / "before", index) for index, goal in enumerate(goals)]
        feedback: list[dict[str, Any]] = []

        def on_feedback(message: Any) -> None:
            status = message.feedback.status
            feedback.append(plain(status))
            if status.step % 20 == 0:
                print(f"step {status.step} of {status.steps}, {status.seconds_left:.0f} s left", flush=True)

        goal = FineTune.Goal(steps=self.steps, time_limit=self.time_limit)
        answer = mapper.accepted(mapper.fine_tune, goal, on_feedback).get_result_async()
        meanwhile = []
        while not answer.done():
            asked = time.monotonic()
            meanwhile.append(mapper.view(goals[len(meanwhile) % len(goals)]).seconds)
            mapper.until(answer.done, max(0.0, asked + self.every - time.monotonic()))
        result = answer.result().result
        if result.error_code:
            print(f"{ErrorCode(result.error_code).name}: {result.error_text}", file=sys.stderr)
            return 1
        print(result.text, flush=True)
        after = [save(mapper.view(goal), received / "after", index) for index, goal in enumerate(goals)]
        cv2.imwrite(str(received / "curve.png"), read_image(curve[-1])[..., ::-1])
        record = {
            "result": plain(result),
            "feedback": feedback,
            "render_seconds": {"before": before, "meanwhile": meanwhile, "after": after},
        }
        (received / "client.json").write_text(json.dumps(record))
        return 0


class Mapper:
    """The node, as a client sees it. Whatever does not come in time raises TimeoutError, in words."""

    def __init__(self, node: Node, executor: SingleThreadedExecutor) -> None:
        self._executor = executor
        self._render_view = ActionClient(node, RenderView, f"{MAPPER}/render_view")
        self.fine_tune = ActionClient(node, FineTune, f"{MAPPER}/fine_tune")
        # Created last: a server that answers this client has discovered the clients created before it.
        self._keyframes = node.create_client(ListKeyframes, f"{MAPPER}/list_keyframes")

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.05)
        return bool(condition())

    def await_labeled(self, count: int, seconds: float) -> None:
        """Until so many keyframes are held, with labels."""
        deadline, held = time.monotonic() + seconds, []
        while sum(keyframe.has_labels for keyframe in held) < count:
            if time.monotonic() > deadline:
                labeled = sum(keyframe.has_labels for keyframe in held)
                raise TimeoutError(f"{labeled} of {len(held)} keyframes have labels; expected {count}")
            self.until(lambda: False, 0.3)
            if self._keyframes.service_is_ready():
                answer = self._keyframes.call_async(ListKeyframes.Request())
                # A server that has not discovered this client loses its reply: ask again.
                if self.until(answer.done, 30):
                    held = answer.result().keyframes

    def accepted(self, action: ActionClient, goal: Any, on_feedback: Callable[[Any], None] | None = None) -> Any:
        """The handle of a goal."""
        name = f"{MAPPER}/{'render_view' if action is self._render_view else 'fine_tune'}"
        if not self.until(action.server_is_ready, 30):
            raise TimeoutError(f"nobody offers {name}; expected semantic_mapper, configured")
        handle = self._done(action.send_goal_async(goal, on_feedback), 30, name)
        assert handle.accepted, "the node accepts every goal, and says in its result what is wrong"
        return handle

    def view(self, goal: RenderView.Goal) -> RenderView.Result:
        handle = self.accepted(self._render_view, goal)
        result: RenderView.Result = self._done(handle.get_result_async(), 300, "render_view").result
        if result.error_code:
            raise RuntimeError(f"no view: {ErrorCode(result.error_code).name}: {result.error_text}")
        return result

    def _done(self, future: Future, seconds: float, what: str) -> Any:
        if not self.until(future.done, seconds):
            raise TimeoutError(f"{what} has not answered for {seconds:.0f} s")
        return future.result()


def view_goals(path: Path) -> Iterator[RenderView.Goal]:
    """A goal for each camera of the file."""
    cameras = np.load(path)
    width, height = (int(side) for side in cameras["size"])
    k = cameras["intrinsics"]
    info = CameraInfo(width=width, height=height, k=k.ravel().tolist(), r=np.eye(3).ravel().tolist())
    info.p = np.hstack([k, np.zeros((3, 1))]).ravel().tolist()
    for pose in cameras["poses"]:
        goal = RenderView.Goal(camera_info=info, want_label=True, want_color=True)
        goal.viewpoint.header.frame_id = "map"
        goal.viewpoint.pose = pose_of_matrix(pose)
        yield goal


def save(view: RenderView.Result, folder: Path, index: int) -> float:
    """Label and color as PNG; returns how long the view took, seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"label_{index}.png"), read_labels(view.label))
    cv2.imwrite(str(folder / f"color_{index}.png"), read_image(view.color)[..., ::-1])
    return float(view.seconds)


def plain(value: Any) -> Any:
    """A message as JSON holds it: NaN, which it does not know, is null."""
    if hasattr(value, "get_fields_and_field_types"):
        return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int):
        return value
    return [plain(each) for each in value]


if __name__ == "__main__":
    try:
        sys.exit(tyro.cli(Client).main())
    except (TimeoutError, RuntimeError) as error:
        print(f"demo_finetune_client: error: {error}", file=sys.stderr)
        sys.exit(1)
