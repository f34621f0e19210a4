"""What entities share while they are visited: arguments, environment, events, and what keeps the launch alive."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from launch.event import Event
from launch.event_handler import EventHandler
from launch.substitution import SomeSubstitutionsType, Substitution


class LaunchContext:
    def __init__(self, *, argv: list[str] | None = None) -> None:
        self.argv = argv or []
        self.launch_configurations: dict[str, str] = {}
        self.environment: dict[str, str] = dict(os.environ)
        self.is_shutdown = False
        self.handlers: list[EventHandler] = []
        self.events: deque[Event] = deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.at_end = ExitStack()
        """Closed when the launch has ended: temporary files, the ROS node."""
        self._scopes: list[tuple[dict[str, str], dict[str, str]]] = []
        self._wake = asyncio.Event()

    def perform_substitution(self, substitution: Substitution) -> str:
        return substitution.perform(self)

    def perform_substitutions(self, parts: SomeSubstitutionsType) -> str:
        """The text of a substitution, of plain text, or of several of them in a row."""
        if isinstance(parts, Substitution):
            return parts.perform(self)
        if isinstance(parts, (str, Path)):
            return str(parts)
        return "".join(self.perform_substitutions(part) for part in parts)

    def push_scope(self) -> None:
        self._scopes.append((dict(self.launch_configurations), dict(self.environment)))

    def pop_scope(self) -> None:
        self.launch_configurations, self.environment = self._scopes.pop()

    def register_event_handler(self, handler: EventHandler) -> None:
        self.handlers.insert(0, handler)

    def unregister_event_handler(self, handler: EventHandler) -> None:
        self.handlers.remove(handler)

    def emit_event_sync(self, event: Event) -> None:
        """Queue an event. From another thread: `asyncio_loop.call_soon_threadsafe(context.emit_event_sync, event)`."""
        self.events.append(event)
        self._wake.set()

    @property
    def asyncio_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def keep_alive(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in the background; the launch does not end before it has."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(lambda _: self._wake.set())
        return task

    async def wait(self) -> None:
        """Until an event was emitted or a task has ended."""
        await self._wake.wait()
        self._wake.clear()
