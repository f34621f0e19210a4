"""OrderlyNode: a lifecycle node whose transitions end, one at a time, and whose clients all get an answer."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

LOADING_SECONDS = 2.0
"""How long an ending node waits for what it is loading. A kernel that is compiled for a model takes longer."""

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def one_at_a_time(transition: Transition) -> Transition:
    """A transition that waits for the one that runs, and fails once the node is ending."""

    @functools.wraps(transition)
    def alone(node: OrderlyNode, state: LifecycleState) -> TransitionCallbackReturn:
        with node._transition:
            return TransitionCallbackReturn.FAILURE if node._is_ending else transition(node, state)

    return alone


class OrderlyNode(LifecycleNode):
    """Its transitions are decorated with `one_at_a_time`."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.is_loading = False
        """In a transition that nothing can stop, and that loses nothing if the process ends."""
        self._transition = threading.RLock()
        self._is_ending = False
        service = self._service_change_state
        service.callback = functools.partial(self._answered, service.callback)

    def end_transitions(self) -> bool:
        """None begins from now on. Waits for the one that another thread is in; False if that would take long."""
        self._is_ending = True
        deadline = time.monotonic() + LOADING_SECONDS
        while not self._transition.acquire(timeout=0.05):
            if self.is_loading and time.monotonic() > deadline:
                return False
        self._transition.release()
        return True

    def _answered(
        self,
        change: Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response],
        request: ChangeState.Request,
        response: ChangeState.Response,
    ) -> ChangeState.Response:
        """Jazzy's rclpy raises where the present state has no such transition, and its client would wait for ever."""
        try:
            return change(request, response)
        except rclpy_implementation.RCLError as error:
            self.get_logger().error(f"transition {request.transition.id} is not possible now: {error}")
            response.success = False
            return response
