"""What the node tells of itself, and its subscriptions, while other threads write and close."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import rclpy
from builtin_interfaces.msg import Time
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from sray.errors import StaleError
from sray_ros.common.error_codes import ErrorCode, NoPoseError, error_of
from sray_ros.common.topic_input import TopicInput
from sray_ros.common.topics import IMAGE
from sray_ros.mapper.health import MapperHealth

pytestmark = pytest.mark.ros


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context)
    node = Node("bench", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def values_of(health: MapperHealth) -> dict[str, str]:
    work = health.array(Time(), "node", None, "rendering", health.facts()).status[1]
    return {pair.key: pair.value for pair in work.values}


def test_refusals_may_come_while_they_are_read() -> None:
    health = MapperHealth()
    health.refused(NoPoseError("none"))
    for seen in health.refusals:  # as the timer does while the worker refuses
        if seen is not ErrorCode.OK:
            health.refused(error_of(seen, "again"))
        health.refused(StaleError("another"))
    values = values_of(health)
    assert values["refused NO_POSE"] == "2"
    assert values["refused STALE"] == str(len(ErrorCode) + 1)
    assert "refused INTERNAL" in values
    assert "refused NO_POSE" not in values_of(MapperHealth())


def test_a_refusal_that_goes_on_is_logged_now_and_then_and_again_once_the_node_is_activated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    health, now = MapperHealth(), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def is_logged(second: float) -> bool:
        now[0] = second
        return health.refused(NoPoseError("none"))

    health.begin()
    assert [is_logged(second) for second in (100.0, 101.0, 104.9, 105.1, 106.0)] == [True, False, False, True, False]
    health.end()
    health.begin()
    assert is_logged(106.1)


@pytest.mark.parametrize("is_closed", [False, True])
def test_an_input_follows_its_publishers_until_it_is_closed(node: Node, is_closed: bool) -> None:
    topic = TopicInput(node, IMAGE, "auto", ReentrantCallbackGroup())
    node.create_publisher(Image, "image", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    assert node.count_publishers("image") == 1
    topic._on_incompatible_qos(None)
    if is_closed:
        topic.close()
    topic.keep_up()
    asked = [subscription.qos_profile.reliability for subscription in node.subscriptions]
    assert asked == ([] if is_closed else [ReliabilityPolicy.BEST_EFFORT])
