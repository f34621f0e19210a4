"""Action servers: made the same way for every action, with results that expire on steady time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from sray_ros.common.error_codes import ErrorCode
from sray_ros.common.topics import CALLS, Call


class OnSteadyTime:
    """A node, but for its clock: results of an action expire by it, and simulated time stands still with its bag."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._clock = Clock(clock_type=ClockType.STEADY_TIME)

    def get_clock(self) -> Clock:
        return self._clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._node, name)


def action_server(
    node: Node, call: Call, execute: Callable[[ServerGoalHandle], Any], group: CallbackGroup, result_seconds: float
) -> ActionServer:
    """Accepts every goal and every cancel. `result_seconds`: how long a result is kept for who has not fetched it."""
    return ActionServer(
        OnSteadyTime(node),
        call.type,
        call.name,
        execute,
        callback_group=group,
        cancel_callback=lambda goal: CancelResponse.ACCEPT,  # rclpy's default rejects
        goal_service_qos_profile=CALLS,
        result_service_qos_profile=CALLS,
        cancel_service_qos_profile=CALLS,
        result_timeout=result_seconds,
    )


def settle(goal: ServerGoalHandle, error_code: int) -> None:
    """End a goal as its result says: succeeded, canceled if that was asked for, else aborted."""
    if error_code == ErrorCode.OK:
        goal.succeed()
    elif error_code == ErrorCode.CANCELED and goal.is_cancel_requested:
        goal.canceled()
    else:
        goal.abort()
