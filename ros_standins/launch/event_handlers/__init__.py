"""The event handlers that this project's launch files use."""

from __future__ import annotations

from typing import Any

from launch.action import Action
from launch.event_handler import EventHandler
from launch.events import Shutdown
from launch.events.process import ProcessExited, ProcessStarted

__all__ = ["OnProcessExit", "OnProcessStart", "OnShutdown"]


class OnProcessStart(EventHandler):
    def __init__(self, *, target_action: Action | None = None, on_start: Any, handle_once: bool = False) -> None:
        super().__init__(
            matcher=lambda event: (
                type(event) is ProcessStarted and (target_action is None or event.action is target_action)
            ),
            entities=on_start,
            handle_once=handle_once,
        )


class OnProcessExit(EventHandler):
    def __init__(self, *, target_action: Action | None = None, on_exit: Any, handle_once: bool = False) -> None:
        super().__init__(
            matcher=lambda event: (
                isinstance(event, ProcessExited) and (target_action is None or event.action is target_action)
            ),
            entities=on_exit,
            handle_once=handle_once,
        )


class OnShutdown(EventHandler):
    def __init__(self, *, on_shutdown: Any, handle_once: bool = False) -> None:
        super().__init__(
            matcher=lambda event: isinstance(event, Shutdown), entities=on_shutdown, handle_once=handle_once
        )
