"""Reacts to a lifecycle node's changes of state."""

from __future__ import annotations

from typing import Any

from launch import Action, Event, EventHandler
from launch_ros.events.lifecycle import StateTransition


class OnStateTransition(EventHandler):
    """States by their labels, such as "inactive"; what is not given matches any."""

    def __init__(
        self,
        *,
        entities: Any,
        target_lifecycle_node: Action,
        start_state: str | None = None,
        goal_state: str | None = None,
        handle_once: bool = False,
    ) -> None:
        def matches(event: Event) -> bool:
            return (
                isinstance(event, StateTransition)
                and event.action is target_lifecycle_node
                and start_state in (None, event.start_state)
                and goal_state in (None, event.goal_state)
            )

        super().__init__(matcher=matches, entities=entities, handle_once=handle_once)
