"""The events that this project's launch files use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from launch.event import Event
from launch.events import process

if TYPE_CHECKING:
    from launch.action import Action

__all__ = ["Shutdown", "matches_action", "process"]


class Shutdown(Event):
    """Everything is to stop."""

    name = "launch.events.Shutdown"

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False) -> None:
        self.reason = reason
        self.due_to_sigint = due_to_sigint


def matches_action(target_action: Action) -> Callable[[Action], bool]:
    return lambda action: action is target_action
