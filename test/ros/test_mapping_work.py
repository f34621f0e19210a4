"""What the worker does with each item, without a process of its own: answers, refusals, counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rclpy
import tf2_ros
import torch
from rclpy.context import Context
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from rclpy.task import Future as RosFuture
from rig.mapper import OPTICAL_FRAME, image_of, info_of, time_of
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sray.checkpoint import load_checkpoint
from sray.errors import BusyError, CanceledError, InternalError, SrayError
from sray.frames import Frame
from sray.mapping.mapper import Rendering
from sray_interfaces.action import RenderView
from sray_ros.common.conversions import image_message
from sray_ros.common.error_codes import ErrorCode, InactiveError
from sray_ros.common.worker import COMMANDS, Job
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.inputs import Arrival
from sray_ros.mapper.jobs import AddImage, AddLabels, PublishMap, RenderRequest, Work
from sray_ros.mapper.lanes import REQUESTS
from sray_ros.mapper.outputs import Publications
from sray_ros.mapper.pacing import Effort
from sray_ros.mapper.scene import ModelChoice
from sray_ros.mapper.view_requests import ViewRequests
from sray_ros.mapper.views import ViewRequest

pytestmark = pytest.mark.ros
SETTINGS = {
    "tf.timeout": 60.0,
    "keyframes.min_sharpness": 0.0,
    "render.quality": "fast",
    "trigger": "request",
    "near": 0.5,
    "far": 4.0,
}


class Bench:
    """The worker's parts of a node, and what they gave out; the test takes the worker's turns."""

    def __init__(self, context: Context, model_file: Path) -> None:
        overrides = [Parameter(name, value=value) for name, value in SETTINGS.items()]
        self.node = LifecycleNode("bench", context=context, parameter_overrides=overrides)
        self.context = MapperContext(self.node)
        self.worker, self.health = self.context.worker, self.context.health
        self.worker.inbox.open()
        model = load_checkpoint(model_file)
        self.publications = Publications(self.node, model.label_space, "map")
        self.handled: list[Header] = []
        self.context.handled = self.handled.append  # type: ignore[method-assign]
        self.work = Work(self.context, ModelChoice(model, model_file, torch.device("cpu")), self.publications)
        self.refusals: list[SrayError] = []
        self.answers: list[Rendering] = []
        self.efforts: list[Effort] = []

    def turn(self) -> None:
        jobs = self.worker.inbox.take()
        assert jobs is not None
        self.worker.do(jobs, self.work)

    def command(self, do: Callable[[], Any]) -> None:
        """Leave it for the worker; the error that comes of it, if any, is among the refusals."""
        self.worker.submit(lambda work: do()).add_done_callback(self._note)

    def _note(self, future: Future[Any]) -> None:
        if isinstance(error := future.exception(), SrayError):
            self.refusals.append(error)

    def see(self, frame: Frame, second: float, depth: Image | None = None) -> None:
        header = Header(stamp=time_of(second), frame_id=OPTICAL_FRAME)
        pose = frame.camera.world_from_camera.double().numpy()
        arrival = Arrival(image_of(frame, header), info_of(frame, header), depth, pose, time.monotonic())
        self.worker.put(AddImage(self.context, arrival))
        self.turn()

    def request(self, **how: Any) -> Job:
        return RenderRequest(ViewRequest(np.eye(4), Header(), self._answer, self.refusals.append, **how), REQUESTS)

    def _answer(self, rendering: Rendering, effort: Effort) -> None:
        self.answers.append(rendering)
        self.efforts.append(effort)

    @property
    def refused(self) -> list[type[SrayError]]:
        return [type(error) for error in self.refusals]


@pytest.fixture
def bench(model_file: Path) -> Iterator[Bench]:
    context = Context()
    rclpy.init(context=context)
    bench = Bench(context, model_file)
    yield bench
    bench.node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def frames(plane_scene: Any) -> list[Frame]:
    return list(plane_scene.ring(4))


@pytest.mark.shows("error BUSY", "error INTERNAL")
def test_every_command_is_answered_done_dropped_failed_or_closed(bench: Bench) -> None:
    done: list[int] = []
    for number in range(COMMANDS.capacity + 1):
        bench.command(lambda number=number: done.append(number))
    assert bench.refused == [BusyError]
    for _ in range(60):
        bench.worker.put(PublishMap())  # a minute of reports drops no command
    assert bench.refused == [BusyError]
    bench.turn()
    assert done == [1]

    def fail() -> None:
        raise RuntimeError("no")

    bench.command(fail)
    for _ in range(COMMANDS.capacity + 1):  # the map takes one turn
        bench.turn()
    assert done == list(range(1, COMMANDS.capacity + 1))
    assert bench.refused == [BusyError, InternalError]

    bench.command(fail)
    bench.worker.close()
    bench.command(fail)
    assert bench.refused[2:] == [InactiveError, InactiveError]


@pytest.mark.parametrize(("is_canceled", "kind"), [(False, InactiveError), (True, CanceledError)])
def test_a_render_that_a_deactivation_stops_was_not_canceled(
    bench: Bench, frames: list[Frame], is_canceled: bool, kind: type[SrayError]
) -> None:
    for second, frame in enumerate(frames, 100):
        bench.see(frame, second)

    def interrupt(fraction: float) -> None:
        if not is_canceled:
            bench.worker.inbox.close()

    canceled = (lambda: True) if is_canceled else (lambda: False)
    info = info_of(Frame(frames[0].image, frames[0].camera).resized(480, 360), Header())  # several chunks
    bench.worker.put(bench.request(info=info, on_progress=interrupt, canceled=canceled))
    bench.turn()
    assert (bench.answers, bench.refused) == ([], [kind])


def test_a_goal_whose_pose_nobody_will_look_up_any_more_is_answered(bench: Bench) -> None:
    broadcaster = tf2_ros.TransformBroadcaster(bench.node)
    requests = ViewRequests(bench.context, bench.work.scene, bench.publications, broadcaster)
    asked = RenderView.Goal()
    asked.viewpoint.header.frame_id = "nowhere"
    answers = [RosFuture(), RosFuture()]
    requests.on_goal(SimpleNamespace(request=asked), answers[0])
    assert not answers[0].done()
    bench.worker.inbox.close()
    requests.on_goal(SimpleNamespace(request=asked), answers[1])
    assert [answer.result().error_code for answer in answers] == [ErrorCode.INACTIVE] * 2


@pytest.mark.parametrize("spoil", ["unknown encoding", "cut short", "empty"])
@pytest.mark.shows("error BAD_ENCODING")
def test_a_bad_depth_image_costs_the_depth_not_the_frame(bench: Bench, frames: list[Frame], spoil: str) -> None:
    depth = image_message(Header(frame_id=OPTICAL_FRAME), np.full((36, 48), 2.0, np.float32), "32FC1")
    if spoil == "unknown encoding":
        depth.encoding = "infrared9"
    elif spoil == "cut short":
        depth.data = depth.data[:100]
    else:
        depth.height, depth.data = 0, depth.data[:0]
    bench.see(frames[0], 100, depth)
    assert len(bench.work.scene.mapper.keyframes) == 1
    assert bench.health.refusals[ErrorCode.BAD_ENCODING] == 1
    assert "a depth image" in str(bench.health.last_refusal)
    assert bench.handled[-1].stamp.sec == 100


def test_an_early_label_image_that_cannot_be_read_costs_no_other_and_no_keyframe(
    bench: Bench, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first picture nobody knows what shape labels should have."""

    def hear(seconds: float, size: tuple[int, int], value: int = 0) -> None:
        header = Header(stamp=time_of(seconds), frame_id=OPTICAL_FRAME)
        bench.worker.put(AddLabels(image_message(header, np.full(size, value, np.uint8), "mono8")))
        bench.turn()

    hear(100.001, (7, 9))
    hear(100.0, (36, 48), 2)
    for number in range(5):  # of pictures that never become keyframes
        hear(90.0 + number, (36, 48))
    read = []
    labels_of = bench.work.scene.frames._reader.labels
    monkeypatch.setattr(bench.work.scene.frames._reader, "labels", lambda image: read.append(image) or labels_of(image))
    bench.see(frames[0], 100)
    assert len(read) == 2, "those of other pictures stay unread"
    assert bench.health.refusals[ErrorCode.BAD_ENCODING] == 1
    keyframe = bench.work.scene.mapper.keyframes[0]
    assert keyframe.frame.labels is not None and bool((keyframe.frame.labels == 2).all())
    assert bench.handled[-1].stamp.sec == 100


def test_a_preview_is_no_render_of_its_own(bench: Bench, frames: list[Frame]) -> None:
    for second, frame in enumerate(frames, 100):
        bench.see(frame, second)
    previews: list[Rendering] = []
    bench.worker.put(bench.request(on_preview=previews.append, scale=4.0))
    bench.turn()
    assert (len(previews), len(bench.answers), bench.health.renders) == (1, 1, 1)
    assert previews[0].view.camera.width < bench.answers[0].view.camera.width
