"""Buffer: the tree of frames plus waiting for a transform to arrive.

Waiting polls, like the official one: it works inside a callback as long as another thread spins the listener.
"""

from __future__ import annotations

import threading
import time as wall
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.task import Future

from tf2_ros.buffer_core import BufferCore

POLL_SECONDS = 0.02
NO_WAIT = Duration()
BACKWARD_JUMP = Duration(seconds=-1)


class Buffer(BufferCore):
    """Stores frames and answers look-ups.

    `node`: whose clock decides what a jump back in time is; without one it is the system clock, which never jumps with
    a bag. The official tf2_frames service is left out.
    """

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        super().__init__(cache_time)
        self._callbacks: list[Callable[[], None]] = []
        self._callbacks_lock = threading.RLock()
        self.clock = node.get_clock() if node is not None else Clock()
        threshold = JumpThreshold(min_forward=None, min_backward=BACKWARD_JUMP, on_clock_change=True)
        self.jump_handle = self.clock.create_jump_callback(threshold, post_callback=self._on_time_jump)

    def _on_time_jump(self, jump: TimeJump) -> None:
        self._logger.warning("Detected jump back in time. Clearing tf buffer.")
        self.clear()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        super().set_transform(transform, authority)
        self._tell_waiting()

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        super().set_transform_static(transform, authority)
        self._tell_waiting()

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Any, timeout: Duration = NO_WAIT
    ) -> TransformStamped:
        """target_from_source at `time` (0: the latest common time), after waiting at most `timeout` for it."""
        self.can_transform(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = NO_WAIT,
    ) -> TransformStamped:
        """As lookup_transform, between two times; `fixed_frame` is the frame that stood still in between."""
        arguments = (target_frame, target_time, source_frame, source_time, fixed_frame)
        self.can_transform_full(*arguments, timeout)
        return self.lookup_transform_full_core(*arguments)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Any,
        timeout: Duration = NO_WAIT,
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        """Whether lookup_transform would succeed within `timeout`; with the reason, if asked for."""
        answer = wait(lambda: self.can_transform_core(target_frame, source_frame, time), timeout)
        return answer if return_debug_tuple else answer[0]

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
        timeout: Duration = NO_WAIT,
        return_debug_tuple: bool = False,
    ) -> bool | tuple[bool, str]:
        arguments = (target_frame, target_time, source_frame, source_time, fixed_frame)
        answer = wait(lambda: self.can_transform_full_core(*arguments), timeout)
        return answer if return_debug_tuple else answer[0]

    def wait_for_transform_async(self, target_frame: str, source_frame: str, time: Any) -> Future:
        """A future that holds the transform as soon as it is there. Cancel it when you no longer wait."""
        future = Future()

        def look() -> None:
            if not future.done() and self.can_transform_core(target_frame, source_frame, time)[0]:
                future.set_result(self.lookup_transform_core(target_frame, source_frame, time))

        with self._callbacks_lock:
            look()
            if not future.done():
                self._callbacks.append(look)
                future.add_done_callback(lambda _: self._stop_telling(look))
        return future

    async def lookup_transform_async(self, target_frame: str, source_frame: str, time: Any) -> TransformStamped:
        """For coroutines: the transform, once it is there."""
        await self.wait_for_transform_async(target_frame, source_frame, time)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def _tell_waiting(self) -> None:
        with self._callbacks_lock:
            for callback in tuple(self._callbacks):  # a copy: a callback that succeeds leaves the list
                callback()

    def _stop_telling(self, callback: Callable[[], None]) -> None:
        with self._callbacks_lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


def wait(ask: Callable[[], tuple[bool, str]], timeout: Duration) -> tuple[bool, str]:
    """Ask until the answer is yes or `timeout` is over. On steady time: simulated time stands still with its bag."""
    end = wall.monotonic() + timeout.nanoseconds * 1e-9
    answer = ask()
    while not answer[0] and wall.monotonic() < end:
        wall.sleep(POLL_SECONDS)
        answer = ask()
    return answer
