"""Executes a launch description, hands events to handlers, and stops everything at the end."""

from __future__ import annotations

import asyncio
import signal
import sys
import traceback
from collections.abc import Callable, Iterable

from launch.core import Action, LaunchContext, LaunchDescription, log
from launch.events import Shutdown

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class LaunchService:
    def __init__(self, description: LaunchDescription, arguments: Iterable[tuple[str, str]] = ()) -> None:
        self._description = description
        self._arguments = dict(arguments)
        self._context: LaunchContext | None = None
        self._return_code = 0

    def run(self) -> int:
        """0, or 1 if the launch itself failed. A process that dies is reported, and is the launch file's affair."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        self._context = context = LaunchContext()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            context.launch_configurations.update(self._arguments)
            self._guarded(lambda: self._description.entities)
            await self._until_idle()
        finally:
            context.at_end.close()
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
        return self._return_code

    async def _until_idle(self) -> None:
        context = self._context
        assert context is not None
        while True:
            while context.events:
                event = context.events.popleft()
                if isinstance(event, Shutdown):
                    context.is_shutdown = True
                for handler in list(context.handlers):
                    if handler.matches(event):
                        self._guarded(lambda handler=handler, event=event: handler.handle(event, context))
            for task in [task for task in context.tasks if task.done()]:
                context.tasks.discard(task)
                if not task.cancelled() and (error := task.exception()) is not None:
                    self._fail(error)
            if context.events:
                continue
            if not context.tasks:
                return
            await context.wait()

    def _guarded(self, actions: Callable[[], Iterable[Action]]) -> None:
        try:
            self._execute(actions())
        except Exception as error:
            self._fail(error)

    def _execute(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self._execute(action.execute(self._context) or ())

    def _fail(self, error: BaseException) -> None:
        log("ERROR", "launch", f"Caught exception in launch: {error}")
        traceback.print_exception(type(error), error, error.__traceback__, limit=-3, file=sys.stderr)
        self._return_code = 1
        self._shutdown(f"exception: {error}")

    def _on_signal(self, number: int) -> None:
        log("WARNING", "launch", f"user interrupted with {signal.Signals(number).name}")
        self._shutdown(signal.Signals(number).name)

    def _shutdown(self, reason: str) -> None:
        """The service asks once. Actions may ask again, and then every handler is called again, as officially."""
        if not self._context.is_shutdown:
            self._context.is_shutdown = True
            self._context.emit_event_sync(Shutdown(reason=reason))
