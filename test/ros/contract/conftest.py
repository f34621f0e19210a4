"""What the contract tests share: a ROS context of their own, so that no two tests and no two runs hear each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from ros_processes import Domain

LIMIT_SECONDS = 15.0  # a message on this machine takes milliseconds, discovery under load a second or two


class Ros:
    """Nodes spun by hand: nothing happens in between."""

    def __init__(self) -> None:
        rclpy.init()  # the default context: a listener's own thread knows no other
        self._executor = SingleThreadedExecutor()
        self._nodes: list[Node] = []

    def node(self, name: str, *, spun: bool = True, **keywords: Any) -> Node:
        node = Node(name, **keywords)
        self._nodes.append(node)
        if spun:
            self._executor.add_node(node)
        return node

    def spin_until(self, done: Callable[[], bool], then: Callable[[], None] = lambda: None) -> None:
        """Spin until `done()`, calling `then` each time around (to send again, say); fails after LIMIT_SECONDS."""
        end = time.monotonic() + LIMIT_SECONDS
        while not done():
            assert time.monotonic() < end, f"not done after {LIMIT_SECONDS} s"
            then()
            self._executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        """Shut down first: threads that spin a node leave it before it is destroyed."""
        self._executor.shutdown()
        rclpy.try_shutdown()
        while self._nodes:
            self._nodes.pop().destroy_node()


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ros]:
    domain = Domain()
    for name, value in domain.environment().items():
        monkeypatch.setenv(name, value)
    session = Ros()
    yield session
    session.close()
    domain.close()
