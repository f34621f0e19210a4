"""Actions: servers made the same way for every action, with results that expire on steady time, and goals for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionClient, ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

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


def send_goal(node: Node, client: ActionClient, goal: Any) -> Future:
    """A future of the goal's handle. Any thread may call it; the thread that spins the node sends the goal.

    rclpy 9.1 makes two futures for a goal, one after the other. An answer that comes between the two is lost, unless
    the thread that sends is the one that would take it, and the first one stays with the client for ever.
    """

    async def send() -> Any:
        sent = client.send_goal_async(goal)
        with client._lock:
            pending = (client._pending_goal_requests, client._pending_cancel_requests, client._pending_result_requests)
            awaited = {id(future) for of_kind in pending for future in of_kind.values()}
            for left in [future for future in client._futures if id(future) not in awaited]:
                client.remove_future(left)
        return await sent

    assert node.executor is not None, "a node that is spun"
    return node.executor.create_task(send)


def settle(goal: ServerGoalHandle, error_code: int) -> None:
    """End a goal as its result says: succeeded, canceled if that was asked for, else aborted."""
    if error_code == ErrorCode.OK:
        goal.succeed()
    elif error_code == ErrorCode.CANCELED and goal.is_cancel_requested:
        goal.canceled()
    else:
        goal.abort()
