"""The events that this project's launch files use."""

from __future__ import annotations

from collections.abc import Callable

from launch.core import Action, Event


class Shutdown(Event):
    """Everything is to stop."""

    def __init__(self, *, reason: str = "reason not given") -> None:
        self.reason = reason


def matches_action(target_action: Action) -> Callable[[Action], bool]:
    return lambda action: action is target_action
