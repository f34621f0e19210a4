"""A lifecycle node is asked to change its state, or has changed it."""

from __future__ import annotations

from collections.abc import Callable

from launch import Action, Event
from lifecycle_msgs.msg import TransitionEvent


class ChangeState(Event):
    def __init__(self, *, lifecycle_node_matcher: Callable[[Action], bool], transition_id: int) -> None:
        self.lifecycle_node_matcher = lifecycle_node_matcher
        self.transition_id = transition_id


class StateTransition(Event):
    def __init__(self, *, action: Action, msg: TransitionEvent) -> None:
        self.action = action
        self.start_state = msg.start_state.label
        self.goal_state = msg.goal_state.label
