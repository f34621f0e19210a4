"""More than the node can do: newest wins, who asked in vain is told so, nobody waits for ever, and work goes on."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from typing import Any

import pytest
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionClient
from rclpy.qos import QoSProfile
from rig.mapper import MapperProcess, seconds_of
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from sray.frames import Frame
from sray_interfaces.action import RenderView
from sray_interfaces.srv import ListKeyframes
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {
    "keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast", "near": 0.5, "far": 4.0,
}  # fmt: skip


def goal_at(x: float = 0.0, size: tuple[int, int] | None = None, **fields: Any) -> RenderView.Goal:
    goal = RenderView.Goal(viewpoint=PoseStamped(), **fields)
    goal.viewpoint.header.frame_id = "map"
    goal.viewpoint.pose.position.x = x
    if size is not None:
        width, height = size
        goal.camera_info = CameraInfo(width=width, height=height)
        goal.camera_info.k = [width / 1.2, 0.0, width / 2, 0.0, width / 1.2, height / 2, 0.0, 0.0, 1.0]
    return goal


def rendering(mapper: MapperProcess) -> Any:
    """The handle of a goal that is being rendered, and that takes longer than a test."""
    progress: list[float] = []
    asked = mapper.render_view.send_goal_async(
        goal_at(size=(1600, 1200)), feedback_callback=lambda message: progress.append(message.feedback.fraction)
    )
    assert mapper.listener.until(lambda: any(0 < fraction < 1 for fraction in progress)), "it renders"
    return asked.result()


SUBSCRIBER = """
import rclpy
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
rclpy.init()
node = rclpy.create_node("never_reads")
base = "/semantic_mapper/"
for name, kind in {"label/image": Image, "label/color": Image, "points": PointCloud2, "map": PointCloud2,
                   "handled": Header}.items():
    node.create_subscription(kind, base + name, lambda message: None, 10)
while not node.count_publishers(base + "label/image"):
    rclpy.spin_once(node, timeout_sec=0.1)
rclpy.spin_once(node, timeout_sec=0.5)
print("ready", flush=True)
rclpy.spin(node)
"""


@pytest.mark.fault("a subscriber that never reads", code="none", says="nowhere",
                   recovery="none needed: others go on, the newest view first")  # fmt: skip
def test_a_subscriber_that_never_reads_holds_nobody_up(mapper: MapperProcess, frames: list[Frame]) -> None:
    listener = mapper.listener
    labels = mapper.hear(Image, "/semantic_mapper/label/image", 10)
    subscriber = listener.run(sys.executable, "-c", SUBSCRIBER)
    try:
        assert subscriber.stdout is not None
        assert subscriber.stdout.readline() == "ready\n"
        subscriber.send_signal(signal.SIGSTOP)
        assert mapper.set(trigger="timer", render__width=160) == ""
        seconds = mapper.send_in_lockstep(frames * 4, 100.0)
        # Depth 1: one that is replaced before everybody has it may be lost to who reads, too. The newest never is.
        assert listener.until(lambda: labels and seconds_of(labels[-1].header.stamp) == seconds[-1])
        heard = [seconds_of(label.header.stamp) for label in labels]
        assert heard == sorted(heard)
        assert len(heard) >= len(seconds) - 4, heard
        assert mapper.service(Trigger, "clear", Trigger.Request()).success
        assert mapper.renders(frames, 200.0)
    finally:
        subscriber.send_signal(signal.SIGCONT)
        subscriber.kill()
        subscriber.communicate()
        assert mapper.set(trigger="keyframe", render__width=0) == ""


@pytest.mark.fault("a flood of goals", code="STALE", says="the goals' results; diagnostics count them",
                   recovery="by itself: the newest are rendered")  # fmt: skip
@pytest.mark.shows("~/render_view", "error STALE")
def test_a_flood_of_goals_is_answered_to_the_last_and_the_newest_is_rendered(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    mapper.send_in_lockstep(frames)
    before = int(mapper.fact("refused STALE") or 0)
    deep = {f"{name}_service_qos_profile": QoSProfile(depth=300) for name in ("goal", "result")}
    client = ActionClient(mapper.listener.node, RenderView, "/semantic_mapper/render_view", **deep)
    mapper.listener.meet("/semantic_mapper")
    assert mapper.listener.until(client.server_is_ready)
    sent = [client.send_goal_async(goal_at(0.001 * number)) for number in range(200)]
    assert mapper.listener.until(lambda: all(future.done() for future in sent), 30), Counter(f.done() for f in sent)
    results = [future.result().get_result_async() for future in sent]
    assert mapper.listener.until(lambda: all(future.done() for future in results), 30)
    codes = [ErrorCode(future.result().result.error_code) for future in results]
    assert set(codes) <= {ErrorCode.OK, ErrorCode.STALE}
    assert codes[-1] is ErrorCode.OK
    assert mapper.fact("refused STALE") == str(before + codes.count(ErrorCode.STALE))
    assert mapper.value("requests waiting") == "0"
    client.destroy()
    assert mapper.renders(frames, 110.0)


@pytest.mark.fault("a flood of service calls", code="BUSY", says="the services' answers",
                   recovery="ask again later")  # fmt: skip
@pytest.mark.shows("error BUSY")
def test_a_flood_of_service_calls_is_answered_to_the_last(mapper: MapperProcess, frames: list[Frame]) -> None:
    mapper.send_in_lockstep(frames)
    listener = mapper.listener
    client = listener.client(ListKeyframes, "/semantic_mapper/list_keyframes", qos_profile=QoSProfile(depth=100))
    long = rendering(mapper)
    calls = [client.call_async(ListKeyframes.Request()) for _ in range(60)]
    # Eight wait for the worker, whoever is ninth sends the oldest away.
    assert listener.until(lambda: sum(call.done() for call in calls) == 52), Counter(c.done() for c in calls)
    assert {ErrorCode(call.result().error_code) for call in calls if call.done()} == {ErrorCode.BUSY}
    long.cancel_goal_async()
    assert listener.until(lambda: all(call.done() for call in calls)), Counter(c.done() for c in calls)
    codes = Counter(ErrorCode(call.result().error_code) for call in calls)
    assert codes == {ErrorCode.OK: 8, ErrorCode.BUSY: 52}
    assert ErrorCode(mapper.answer(long).result.error_code) is ErrorCode.CANCELED
    listener.node.destroy_client(client)
    assert mapper.renders(frames, 110.0)


@pytest.mark.fault("images at 200 Hz", code="none", says="diagnostics count what was dropped",
                   recovery="none needed: newest win, services answer, memory stays")  # fmt: skip
def test_images_at_200_hz_cost_no_memory_and_the_newest_win(mapper: MapperProcess, frames: list[Frame]) -> None:
    listener = mapper.listener
    labels = mapper.hear(Image, "/semantic_mapper/label/image", 10)
    assert mapper.set(trigger="timer", render__width=160) == ""
    try:
        assert mapper.renders(frames, 100.0)

        def flood(first: float, seconds: float) -> float:
            """Stamps are the time on the wall, so that how old a label is can be seen."""
            started, number, last = time.monotonic(), 0, first
            while (now := time.monotonic() - started) < seconds:
                if now >= number / 200:
                    number, last = number + 1, first + now
                    mapper.send(frames[0], last)
                listener._executor.spin_once(timeout_sec=0)
            return last

        flood(110.0, 1.5)  # warm
        megabytes = float(mapper.fact("memory MiB") or "nan")
        del labels[:]
        last = flood(130.0, 3.0)
        assert len(mapper.keyframes()) == 5
        assert listener.until(lambda: labels and seconds_of(labels[-1].header.stamp) > last - 0.1), (
            last, [seconds_of(label.header.stamp) for label in labels]
        )  # fmt: skip
        stamps = [seconds_of(label.header.stamp) for label in labels]
        assert stamps == sorted(stamps)
        assert float(mapper.fact("memory MiB") or "nan") < megabytes + 30
        assert mapper.value("images waiting") == "0"
    finally:
        assert mapper.set(trigger="keyframe", render__width=0) == ""
    assert mapper.renders(frames, 200.0)


@pytest.mark.fault("requests that cannot be served within render.max_latency", code="STALE",
                   says="the goals' results; diagnostics: at which quality and size it renders",
                   recovery="ask less often, or raise render.max_latency")  # fmt: skip
@pytest.mark.shows("render.max_latency")
def test_under_max_latency_quality_and_size_give_way_first_and_what_is_too_late_is_stale(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    assert mapper.set(render__quality="balanced") == ""
    try:
        mapper.send_in_lockstep(frames)
        whole = mapper.answer(mapper.ask(goal_at(want_label=True))).result
        assert (whole.quality, whole.scale, whole.label.width) == ("balanced", 1.0, 48)
        assert mapper.set(render__max_latency=0.001) == ""
        codes, texts, lowered = Counter[ErrorCode](), set(), []
        for _ in range(20):
            result = mapper.answer(mapper.ask(goal_at(want_label=True))).result
            codes[ErrorCode(result.error_code)] += 1
            if result.error_code:
                texts.add(result.error_text.split("; ")[-1])
            else:
                lowered.append((result.quality, result.scale, result.label.width))
        assert set(codes) <= {ErrorCode.OK, ErrorCode.STALE}
        assert set(lowered) <= {("fast", 0.25, 12)}, "expected the least there is"
        # Whatever waits behind another is too late.
        first, *late = [mapper.ask(goal_at(0.01 * number)) for number in range(6)]
        answers = [ErrorCode(mapper.answer(handle).result.error_code) for handle in (first, *late)]
        assert ErrorCode.STALE in answers
        assert mapper.said("STALE: waited")
        assert mapper.set(render__max_latency=0.05) == ""
        mapper.answer(mapper.ask(goal_at(size=(640, 480))))
        assert mapper.said("rendering at fast, 25 % of the size, to keep render.max_latency")
        assert mapper.set(render__max_latency=0.0) == ""
        again = mapper.answer(mapper.ask(goal_at(want_label=True))).result
        assert (again.quality, again.scale) == ("balanced", 1.0)
    finally:
        assert mapper.set(render__max_latency=0.0, render__quality="fast") == ""
    assert mapper.renders(frames, 110.0)


@pytest.mark.fault("a goal is canceled while it is rendered", code="CANCELED", says="the goal's result",
                   recovery="the next goal")  # fmt: skip
@pytest.mark.fault("a goal is canceled while it waits", code="CANCELED", says="the goal's result",
                   recovery="the next goal")  # fmt: skip
@pytest.mark.shows("~/render_view", "error CANCELED")
def test_goals_are_canceled_while_they_render_and_while_they_wait(mapper: MapperProcess, frames: list[Frame]) -> None:
    mapper.send_in_lockstep(frames)
    running = rendering(mapper)
    waiting = mapper.ask(goal_at(0.01))
    waiting.cancel_goal_async()
    assert ErrorCode(mapper.answer(waiting).result.error_code) is ErrorCode.CANCELED
    running.cancel_goal_async()
    canceled = mapper.answer(running).result
    assert ErrorCode(canceled.error_code) is ErrorCode.CANCELED
    assert len(canceled.label.data) == 0
    assert mapper.renders(frames[:3], 110.0)
