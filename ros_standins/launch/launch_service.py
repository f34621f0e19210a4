"""Visits a launch description, hands events to handlers, and stops everything at the end."""

from __future__ import annotations

import asyncio
import signal
import sys
import traceback
from collections.abc import Iterable

from launch.events import Shutdown
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.logging import log

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class LaunchService:
    def __init__(self, *, argv: list[str] | None = None) -> None:
        self._argv = argv
        self._descriptions: list[tuple[LaunchDescription, dict[str, str]]] = []
        self._context: LaunchContext | None = None
        self._return_code = 0

    def include_launch_description(
        self, description: LaunchDescription, arguments: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._descriptions.append((description, dict(arguments)))

    def run(self, *, shutdown_when_idle: bool = True) -> int:
        """0, or 1 if the launch itself failed. A process that dies is reported, and is the launch file's affair."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        self._context = context = LaunchContext(argv=self._argv)
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            for description, arguments in self._descriptions:
                context.launch_configurations.update(arguments)
                self._guarded_visit([description])
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
                        self._guarded_visit(lambda handler=handler, event=event: handler.handle(event, context))
            for task in [task for task in context.tasks if task.done()]:
                context.tasks.discard(task)
                if not task.cancelled() and (error := task.exception()) is not None:
                    self._fail(error)
            if context.events:
                continue
            if not context.tasks:
                return
            await context.wait()

    def _guarded_visit(self, entities) -> None:
        try:
            self._visit(entities() if callable(entities) else entities)
        except Exception as error:
            self._fail(error)

    def _visit(self, entities: Iterable[LaunchDescriptionEntity]) -> None:
        for entity in entities:
            self._visit(entity.visit(self._context) or ())

    def _fail(self, error: BaseException) -> None:
        log("ERROR", "launch", f"Caught exception in launch: {error}")
        traceback.print_exception(type(error), error, error.__traceback__, limit=-3, file=sys.stderr)
        self._return_code = 1
        self._shutdown(f"exception: {error}")

    def _on_signal(self, number: int) -> None:
        log("WARNING", "launch", f"user interrupted with {signal.Signals(number).name}")
        self._shutdown(signal.Signals(number).name, due_to_sigint=number == signal.SIGINT)

    def _shutdown(self, reason: str, due_to_sigint: bool = False) -> None:
        """The service asks once. Actions may ask again, and then every handler is called again, as officially."""
        if not self._context.is_shutdown:
            self._context.is_shutdown = True
            self._context.emit_event_sync(Shutdown(reason=reason, due_to_sigint=due_to_sigint))
