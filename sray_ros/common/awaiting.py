"""Waiting for other threads in coroutines that rclpy runs."""

from __future__ import annotations

from concurrent.futures import Future as ThreadFuture
from typing import TypeVar

from rclpy.node import Node
from rclpy.task import Future

T = TypeVar("T")


async def awaited(node: Node, future: ThreadFuture[T]) -> T:
    """The result of a future that another thread sets. Raises what it raises.

    For the callbacks of services and actions: the executor of `node` does other things meanwhile.
    """
    done = Future(executor=node.executor)
    future.add_done_callback(lambda _: done.set_result(None))
    await done
    return future.result()
