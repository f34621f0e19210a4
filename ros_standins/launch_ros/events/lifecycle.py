"""A lifecycle node is asked to change its state, or has changed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from launch import Action, Event
from lifecycle_msgs.msg import TransitionEvent

if TYPE_CHECKING:
    from launch_ros.actions import LifecycleNode


class ChangeState(Event):
    name = "launch_ros.events.lifecycle.ChangeState"

    def __init__(self, *, lifecycle_node_matcher: Callable[[Action], bool], transition_id: int) -> None:
        self.lifecycle_node_matcher = lifecycle_node_matcher
        self.transition_id = transition_id


class StateTransition(Event):
    name = "launch_ros.events.lifecycle.StateTransition"

    def __init__(self, *, action: LifecycleNode, msg: TransitionEvent) -> None:
        self.action = action
        self.msg = msg
        self.transition = msg.transition.label
        self.start_state = msg.start_state.label
        self.goal_state = msg.goal_state.label
