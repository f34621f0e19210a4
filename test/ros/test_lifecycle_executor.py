"""Subscriptions destroyed while an executor is about to wait for them, or to take what has come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rclpy
from domains import Domain
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.context import Context
from rclpy.event_handler import EventHandler, SubscriptionEventCallbacks
from rclpy.exceptions import InvalidHandle
from rclpy.executors import TimeoutException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.waitable import NumberOfEntities, Waitable
from std_msgs.msg import Empty

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
    executor = LifecycleExecutor(num_threads=2, context=node.context)
    executor.add_node(node)
    yield executor
    executor.shutdown(timeout_sec=1.0)


def spin_until(executor: LifecycleExecutor, heard: list[Any]) -> None:
    for _ in range(500):
        if heard:
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


def test_the_mapper_is_spun_by_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    domain, stop, spun_by = Domain(), threading.Event(), []

    def init(args: object) -> threading.Event:
        rclpy.init(args=["--ros-args", "-p", f"data_dir:={tmp_path}"], domain_id=domain.number)
        return stop

    def spin_once(node: Node, executor: object) -> None:
        spun_by.append(executor)
        stop.set()

    monkeypatch.setattr(semantic_mapper, "init_until_signalled", init)
    monkeypatch.setattr(semantic_mapper.SemanticMapper, "spin_once", spin_once)
    assert semantic_mapper.main() == 0
    assert isinstance(spun_by[0], LifecycleExecutor)
    domain.close()
