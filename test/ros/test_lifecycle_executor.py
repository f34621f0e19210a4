"""The mapper's executor: what is destroyed as it spins, what waits, what takes long, how often it does things."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future as ThreadFuture
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.event_handler import EventHandler, SubscriptionEventCallbacks
from rclpy.exceptions import InvalidHandle
from rclpy.executors import TimeoutException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.task import Task
from rclpy.waitable import NumberOfEntities, Waitable
from ros_processes import Domain
from std_msgs.msg import Empty

from sray_ros.common.awaiting import awaited
from sray_ros.common.executor import LifecycleExecutor
from sray_ros.mapper import node as semantic_mapper

pytestmark = pytest.mark.ros
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class DestroyedMeanwhile(Waitable):
    """Destroys a subscription, once, after the executor has gathered it and before it waits."""

    def __init__(self, node: Node, subscription: Subscription[Empty]) -> None:
        super().__init__(node.default_callback_group)
        self._node = node
        self._subscription = subscription
        self.is_destroyed = False
        node.add_waitable(self)

    def get_num_entities(self) -> NumberOfEntities:
        if not self.is_destroyed:
            self.is_destroyed = self._node.destroy_subscription(self._subscription)
        return NumberOfEntities()

    def add_to_wait_set(self, wait_set: object) -> None: ...

    def is_ready(self, wait_set: object) -> bool:
        return False

    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None: ...


@pytest.fixture
def node() -> Iterator[Node]:
    domain, context = Domain(), Context()
    rclpy.init(context=context, domain_id=domain.number)
    node = Node("fickle", context=context, enable_rosout=False, start_parameter_services=False)
    yield node
    node.destroy_node()
    context.try_shutdown()
    domain.close()


@pytest.fixture
def executor(node: Node) -> Iterator[LifecycleExecutor]:
    executor = LifecycleExecutor(context=node.context)
    executor.add_node(node)
    yield executor
    executor.shutdown(timeout_sec=1.0)


def spin_until(executor: LifecycleExecutor, heard: list[Any] | threading.Event, least: int = 1) -> None:
    for _ in range(500):
        if heard.is_set() if isinstance(heard, threading.Event) else len(heard) >= least:
            return
        executor.spin_once(timeout_sec=0.01)
    raise AssertionError("nothing was heard")


def test_what_is_destroyed_before_the_wait_costs_nothing(node: Node, executor: LifecycleExecutor) -> None:
    heard: list[Empty] = []
    node.create_subscription(Empty, "kept", heard.append, 1)
    camera = node.create_publisher(Empty, "kept", 1)
    doomed = DestroyedMeanwhile(node, node.create_subscription(Empty, "doomed", heard.append, 1))
    camera.publish(Empty())
    spin_until(executor, heard)
    assert doomed.is_destroyed


def test_an_event_of_what_is_destroyed_does_not_block_its_callback_group(
    node: Node, executor: LifecycleExecutor
) -> None:
    group, heard, events = MutuallyExclusiveCallbackGroup(), [], []
    node.create_subscription(Empty, "kept", heard.append, 1, callback_group=group)
    camera = node.create_publisher(Empty, "kept", 1)
    subscription = node.create_subscription(
        Empty, "doomed", heard.append, 1, callback_group=group,
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=events.append),
    )  # fmt: skip
    node.create_publisher(Empty, "doomed", BEST_EFFORT)  # which the subscription cannot hear: an event
    handler = handler_of_event(executor)
    node.destroy_subscription(subscription)
    handler()
    handler.result()
    assert not events
    camera.publish(Empty())
    spin_until(executor, heard)


def handler_of_event(executor: LifecycleExecutor) -> Any:
    for _ in range(500):
        try:
            handler, entity, _ = executor.wait_for_ready_callbacks(timeout_sec=0.01)
        except TimeoutException:
            continue
        if isinstance(entity, EventHandler):
            return handler
        handler()
    raise AssertionError("no event came")


def test_a_callback_that_uses_what_is_destroyed_is_still_told_of(node: Node, executor: LifecycleExecutor) -> None:
    camera = node.create_publisher(Empty, "kept", 1)
    node.destroy_publisher(camera)
    node.create_timer(0.001, lambda: camera.publish(Empty()))
    with pytest.raises(InvalidHandle):
        spin_until(executor, [])


def test_a_message_is_handed_out_once_however_busy_the_machine_is(
    node: Node, executor: LifecycleExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Empty] = []
    calls: Counter[int] = Counter()
    node.create_subscription(Empty, "often", heard.append, 100, callback_group=MutuallyExclusiveCallbackGroup())
    camera = node.create_publisher(Empty, "often", 100)
    run = Task.__call__

    def counted(task: Task[Any]) -> None:
        calls[id(task)] += 1
        kept.append(task)  # no other one gets its id
        run(task)

    kept: list[Task[Any]] = []
    monkeypatch.setattr(Task, "__call__", counted)
    with busy_thread():
        for _ in range(50):
            camera.publish(Empty())
        spin_until(executor, heard, 50)
    assert set(calls.values()) == {1}


@contextmanager
def busy_thread() -> Iterator[None]:
    """Wants Python's lock all the time."""
    over = threading.Event()

    def count() -> None:
        while not over.is_set():
            sum(range(1000))

    thread = threading.Thread(target=count)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_coroutine_that_waits_costs_nothing_and_goes_on_at_once(node: Node, executor: LifecycleExecutor) -> None:
    answers: ThreadFuture[float] = ThreadFuture()
    late: list[float] = []

    async def wait_for_answer() -> None:
        answered = await awaited(node, answers)
        late.append(time.monotonic() - answered)

    executor.create_task(wait_for_answer)
    threading.Timer(1.0, lambda: answers.set_result(time.monotonic())).start()
    turns = 0
    while not late and turns < 20:  # more: it spins where it could wait
        executor.spin_once(timeout_sec=10.0)
        turns += 1
    assert late[0] < 5


def test_what_takes_long_in_the_default_group_holds_up_no_other_callback(
    node: Node, executor: LifecycleExecutor
) -> None:
    begun, may_end, heard = threading.Event(), threading.Event(), []

    def transition() -> None:
        begun.set()
        may_end.wait(10)
        raise ValueError("of the transition")

    node.create_timer(0.01, transition)
    node.create_subscription(Empty, "other", heard.append, 1, callback_group=MutuallyExclusiveCallbackGroup())
    camera = node.create_publisher(Empty, "other", 1)
    spin_until(executor, begun)
    camera.publish(Empty())
    spin_until(executor, heard)
    may_end.set()
    with pytest.raises(ValueError, match="of the transition"):
        spin_until(executor, [])


def test_the_mapper_is_spun_by_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    domain, stop, spun_by = Domain(), threading.Event(), []

    def init(args: object) -> threading.Event:
        rclpy.init(args=["--ros-args", "-p", f"data_dir:={tmp_path}"], domain_id=domain.number)
        return stop

    def spin_once(node: Node, executor: object) -> None:
        spun_by.append(executor)
        stop.set()

    monkeypatch.setattr(semantic_mapper, "init_until_signaled", init)
    monkeypatch.setattr(semantic_mapper.SemanticMapper, "spin_once", spin_once)
    assert semantic_mapper.main() == 0
    assert isinstance(spun_by[0], LifecycleExecutor)
    domain.close()
