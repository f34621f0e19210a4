"""TF's own thread: it hears under the node's names, survives a message that cannot be taken in, and ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
import tf2_ros
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.time import Time as RosTime
from rig.listener import Listener
from tf2_msgs.msg import TFMessage

from sray_ros.common import tf_thread
from sray_ros.common.tf_thread import TfThread

pytestmark = pytest.mark.ros


@pytest.fixture
def node(listener: Listener) -> Iterator[Node]:
    """A robot's, which has TF under another name."""
    remapping = ["--ros-args", "-r", "/tf:=tf"]
    node = Node("mapper", namespace="robot", context=listener.node.context, cli_args=remapping)
    yield node
    node.destroy_node()


def names(listener: Listener) -> set[str]:
    return {f"{space.rstrip('/')}/{name}" for name, space in listener.node.get_node_names_and_namespaces()}


def used() -> set[str]:
    """The frames whose poses are asked for."""
    return {"camera"}


def edge(child: str, second: int = 0) -> TFMessage:
    transform = TransformStamped(child_frame_id=child)
    transform.header.stamp.sec = second
    transform.header.frame_id = "map"
    return TFMessage(transforms=[transform])


def test_it_hears_under_the_nodes_names_until_closed(listener: Listener, node: Node) -> None:
    buffer, errors = tf2_ros.Buffer(node=node), []
    hearing = TfThread(buffer, node, errors.append, used)
    sender = listener.node.create_publisher(TFMessage, "/robot/tf", 10)
    assert listener.until(sender.get_subscription_count)
    sender.publish(edge("camera"))
    assert listener.until(lambda: buffer.can_transform("map", "camera", RosTime()))
    assert listener.until(lambda: "/robot/_mapper_tf" in names(listener))
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
    hearing = TfThread(buffer, node, errors.append, used)
    sender = listener.node.create_publisher(TFMessage, "/robot/tf", 10)
    assert listener.until(sender.get_subscription_count)
    for child in ("poison", "camera"):
        sender.publish(edge(child))
    assert listener.until(lambda: buffer.can_transform("map", "camera", RosTime()))
    hearing.close()
    assert [str(error) for error in errors] == ["poison"]


def test_a_recording_that_starts_again_is_heard_whoever_cleared_the_buffer_too_soon(
    listener: Listener, node: Node
) -> None:
    buffer = tf2_ros.Buffer(node=node)
    hearing = TfThread(buffer, node, lambda error: None, used)
    sender = listener.node.create_publisher(TFMessage, "/robot/tf", 10)
    assert listener.until(sender.get_subscription_count)
    buffer.clear()  # as for a picture of the new round, while the last of the old one is unread
    for second in (160, 100, 101):
        sender.publish(edge("camera", second))
    assert listener.until(lambda: buffer.can_transform("map", "camera", RosTime(seconds=101)))
    assert buffer.can_transform("map", "camera", RosTime(seconds=100))
    assert not buffer.can_transform("map", "camera", RosTime(seconds=160))
    hearing.close()


def test_what_the_command_line_says_of_the_nodes_name_does_not_give_two_nodes_that_name(listener: Listener) -> None:
    context = Context()
    rclpy.init(
        args=["--ros-args", "-r", "__node:=mine", "-r", "/tf:=/elsewhere"], context=context, domain_id=listener.domain
    )
    node = Node("mapper", context=context)
    hearing = TfThread(tf2_ros.Buffer(node=node), node, lambda error: None, used)
    sender = listener.node.create_publisher(TFMessage, "/elsewhere", 10)
    assert listener.until(sender.get_subscription_count)
    assert listener.until(lambda: {"/mine", "/_mine_tf"} <= names(listener)), names(listener)
    rclpy.shutdown(context=context)  # first, as a signal may do it
    hearing.close()
    node.destroy_node()


def test_it_closes_while_it_is_about_to_wait_for_a_message_that_never_comes(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    about_to_wait = threading.Event()

    class Slow(SingleThreadedExecutor):
        def get_nodes(self) -> list[Node]:  # between the look at whether it is shut down, and the wait
            about_to_wait.set()
            time.sleep(0.3)
            return super().get_nodes()

    monkeypatch.setattr(tf_thread, "SingleThreadedExecutor", Slow)
    hearing = TfThread(tf2_ros.Buffer(node=node), node, lambda error: None, used)
    assert about_to_wait.wait(10)
    closing = threading.Thread(target=hearing.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
