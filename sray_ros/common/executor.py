"""LifecycleExecutor: an rclpy executor for a node with a busy worker thread, and with lifecycle transitions.

rclpy's MultiThreadedExecutor submits a callback to its threads again at every wake-up until the callback has started
(ros2/rclpy#1452). Beside a worker that renders without a pause its loop then holds the GIL, and the threads that should
run the callbacks wait: services took nearly twice as long, and pictures were lost (docs/performance.md, "Over DDS").
Here callbacks run on the thread that spins, all that are ready after one wait.

rclpy's executors also allow for an entity that is destroyed while they are about to wait for it, or to take from it,
but not for the handlers of its events (a QoS or a type that is incompatible), which raise InvalidHandle:
ros2/rclpy#1284. ros2/rclpy#1590 mends this for the wait, but rclpy 9.1.2 (Kilted) does not contain it.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException, ShutdownException, TimeoutException
from rclpy.task import Task
from rclpy.waitable import Waitable


class LifecycleExecutor(Executor):
    """Runs callbacks one after the other on the thread that calls `spin_once`: they must be short, or coroutines.

    A node's default callback group, which has its transitions and parameters, may take long: it has a thread of its
    own. `spin_once` raises what a callback raised; if it ran on that other thread, a later `spin_once` does.
    """

    def __init__(self, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="transitions")
        self._elsewhere: set[Task[Any]] = set()
        """Handed to the other thread, and not yet given back by it."""
        self._given_back: deque[Task[Any]] = deque()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for a callback, at most so long, and run it, or let a coroutine go on. Raises what it raises."""
        while self._given_back:
            _raise_from(self._given_back.popleft())
        try:
            task, entity, node = self.wait_for_ready_callbacks(timeout_sec)
        except (TimeoutException, ShutdownException, ExternalShutdownException):
            return
        if task in self._elsewhere:  # not begun there yet
            return
        if entity is not None and node is not None and entity.callback_group is node.default_callback_group:
            self._elsewhere.add(task)
            self._thread.submit(self._run_elsewhere, task)
        else:
            task()
            _raise_from(task)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop. Waits for what runs on the other thread, and does not begin what it has not begun."""
        stopped = bool(super().shutdown(timeout_sec))
        self._thread.shutdown(cancel_futures=True)
        return stopped

    def wait_for_ready_callbacks(self, *args: Any, **kwargs: Any) -> Any:
        """No callback runs inside this call, so an InvalidHandle comes from waiting and never from a callback."""
        try:
            return super().wait_for_ready_callbacks(*args, **kwargs)
        except InvalidHandle:  # nothing is taken yet, so nothing is lost: the next wait goes without what was destroyed
            raise TimeoutException from None

    def _take_waitable(self, waitable: Waitable[Any]) -> Any:
        """None if the waitable was destroyed, as for rclpy's other entities. Raising would lock its callback group."""
        try:
            return super()._take_waitable(waitable)
        except InvalidHandle:
            return None

    def _run_elsewhere(self, task: Task[Any]) -> None:
        task()
        self._given_back.append(task)
        self._elsewhere.discard(task)
        self.wake()


def _raise_from(task: Task[Any]) -> None:
    """What it raised. A coroutine that waits has neither result nor exception, and comes again."""
    if task.done():
        task.result()
