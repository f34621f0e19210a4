"""TF's own thread: it hears under the node's names, survives a message that cannot be taken in, and ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import tf2_ros
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.time import Time
from ros_listener import Listener
from tf2_msgs.msg import TFMessage

from sray_ros.tf_thread import TfThread

pytestmark = pytest.mark.ros


@pytest.fixture
def node(listener: Listener) -> Iterator[Node]:
    """A robot's, which has TF under another name."""
    remapping = ["--ros-args", "-r", "/tf:=tf"]
    node = Node("mapper", namespace="robot", context=listener.node.context, cli_args=remapping)
    yield node
    node.destroy_node()


def edge(child: str) -> TFMessage:
    transform = TransformStamped(child_frame_id=child)
    transform.header.frame_id = "map"
    return TFMessage(transforms=[transform])


def test_it_hears_under_the_nodes_names_until_closed(listener: Listener, node: Node) -> None:
    buffer, errors = tf2_ros.Buffer(node=node), []
    hearing = TfThread(buffer, node, errors.append)
    sender = listener.node.create_publisher(TFMessage, "/robot/tf", 10)
    assert listener.until(sender.get_subscription_count)
    sender.publish(edge("camera"))
    assert listener.until(lambda: buffer.can_transform("map", "camera", Time()))
    hearing.close()
    assert "tf" not in {thread.name for thread in threading.enumerate()}
    assert listener.until(lambda: not sender.get_subscription_count())
    assert not errors


def test_a_message_that_cannot_be_taken_in_costs_none_of_those_after_it(listener: Listener, node: Node) -> None:
    class Picky(tf2_ros.Buffer):
        def set_transform(self, transform: Any, authority: str) -> None:
            if transform.child_frame_id == "poison":
                raise RuntimeError(transform.child_frame_id)
            super().set_transform(transform, authority)

    buffer, errors = Picky(node=node), []
    hearing = TfThread(buffer, node, errors.append)
    sender = listener.node.create_publisher(TFMessage, "/robot/tf", 10)
    assert listener.until(sender.get_subscription_count)
    for child in ("poison", "camera"):
        sender.publish(edge(child))
    assert listener.until(lambda: buffer.can_transform("map", "camera", Time()))
    hearing.close()
    assert [str(error) for error in errors] == ["poison"]
