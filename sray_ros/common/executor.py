"""LifecycleExecutor: an rclpy executor for nodes that destroy subscriptions while it spins, as on deactivation.

rclpy's executors allow for an entity that is destroyed while they are about to wait for it, or to take from it, but not
for the handlers of its events (a QoS or a type that is incompatible), which raise InvalidHandle: ros2/rclpy#1284. Of
the wait it is mended by ros2/rclpy#1590, which 9.1.2 (Kilted) does not have.
"""

from __future__ import annotations

from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import MultiThreadedExecutor, TimeoutException
from rclpy.waitable import Waitable


class LifecycleExecutor(MultiThreadedExecutor):
    """Hides no mistake: a callback that itself uses what was destroyed raises out of `spin_once` as ever."""

    def wait_for_ready_callbacks(self, *args: Any, **kwargs: Any) -> Any:
        """Callbacks do not run in here: InvalidHandle is only ever the wait's own."""
        try:
            return super().wait_for_ready_callbacks(*args, **kwargs)
        except InvalidHandle:  # nothing is taken yet, so nothing is lost: the next wait goes without what was destroyed
            raise TimeoutException from None

    def _take_waitable(self, waitable: Waitable[Any]) -> Any:
        """None if it is gone, as rclpy has it for other entities: raising keeps its callback group taken for good."""
        try:
            return super()._take_waitable(waitable)
        except InvalidHandle:
            return None
