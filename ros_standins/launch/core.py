"""What a launch consists of: actions, substitutions, events with their handlers, and the context that they share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any


class Substitution:
    """Text that is known only once the launch runs."""

    def perform(self, context: LaunchContext) -> str:
        raise NotImplementedError


Text = str | Path | Substitution


class Action:
    """Something that the launch does."""

    def execute(self, context: LaunchContext) -> Iterable[Action] | None:
        """Do the action's work; what is returned is executed next."""
        raise NotImplementedError


class Event:
    """Something that happened."""


class EventHandler:
    """What to do when an event happens. `entities`: actions, or a function of event and context that returns some."""

    def __init__(self, *, matcher: Callable[[Event], bool], entities: Any = None, handle_once: bool = False) -> None:
        self.matches = matcher
        self._entities = entities
        self._handle_once = handle_once

    def handle(self, event: Event, context: LaunchContext) -> Iterable[Action]:
        if self._handle_once:
            context.handlers.remove(self)
        found = self._entities(event, context) if callable(self._entities) else self._entities
        if found is None:
            return []
        return [found] if isinstance(found, Action) else found


class LaunchDescription:
    """A list of actions, in the order in which they are executed."""

    def __init__(self, initial_entities: Iterable[Action] = ()) -> None:
        self.entities = list(initial_entities)


class LaunchContext:
    """What actions share: arguments, environment, events, and what keeps the launch alive."""

    def __init__(self) -> None:
        self.launch_configurations: dict[str, str] = {}
        self.environment: dict[str, str] = dict(os.environ)
        self.is_shutdown = False
        self.handlers: list[EventHandler] = []
        self.events: deque[Event] = deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.at_end = ExitStack()
        """Closed when the launch has ended: temporary files, the ROS node."""
        self._wake = asyncio.Event()

    def perform(self, text: Text) -> str:
        """The text of a substitution, or plain text as it is."""
        return text.perform(self) if isinstance(text, Substitution) else str(text)

    def register_event_handler(self, handler: EventHandler) -> None:
        self.handlers.insert(0, handler)

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


def log(level: str, name: str, text: str) -> None:
    """One line, on the screen."""
    print(f"[{level}] [{name}]: {text}", file=sys.stderr if level == "ERROR" else sys.stdout, flush=True)
