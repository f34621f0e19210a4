"""The event handlers that this project's launch files use."""

from __future__ import annotations

from typing import Any

from launch.core import Action, EventHandler
from launch.events import Shutdown
from launch.events.process import ProcessExited, ProcessStarted


class OnProcessStart(EventHandler):
    def __init__(self, *, target_action: Action, on_start: Any) -> None:
        super().__init__(
            matcher=lambda event: type(event) is ProcessStarted and event.action is target_action, entities=on_start
        )


class OnProcessExit(EventHandler):
    def __init__(self, *, target_action: Action, on_exit: Any) -> None:
        super().__init__(
            matcher=lambda event: isinstance(event, ProcessExited) and event.action is target_action, entities=on_exit
        )


class OnShutdown(EventHandler):
    def __init__(self, *, on_shutdown: Any) -> None:
        super().__init__(matcher=lambda event: isinstance(event, Shutdown), entities=on_shutdown)
