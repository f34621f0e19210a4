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
    executor = node.executor
    done = Future(executor=executor)

    def go_on(_: ThreadFuture[T]) -> None:
        done.set_result(None)
        if executor is not None:
            executor.wake()

    future.add_done_callback(go_on)
    await done
    return future.result()
