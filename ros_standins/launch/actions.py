"""The actions that this project's launch files use."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from launch import events
from launch.core import Action, Event, EventHandler, LaunchContext, Text, log
from launch.event_handlers import OnProcessExit, OnShutdown
from launch.events.process import ProcessExited, ProcessStarted
from launch.supervised_process import SupervisedProcess

_numbers = itertools.count(1)


class DeclareLaunchArgument(Action):
    """An argument of a launch file: name, default, sentence, choices."""

    def __init__(
        self,
        name: str,
        *,
        default_value: Text | None = None,
        description: str = "no description given",
        choices: Iterable[str] | None = None,
    ) -> None:
        self.name = name
        self.default_value = default_value
        self.choices = None if choices is None else list(choices)
        self.description = description
        if self.choices is not None:
            self.description += f". Valid choices are: {self.choices}"
            if isinstance(default_value, str) and default_value not in self.choices:
                raise ValueError(f"default '{default_value}' of argument '{name}' is not one of {self.choices}")

    def execute(self, context: LaunchContext) -> None:
        """Raises RuntimeError if the argument is required and missing, or not one of the choices."""
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(f"missing required argument '{self.name}' ({self.description})")
            context.launch_configurations[self.name] = context.perform(self.default_value)
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(f"Argument '{self.name}' is '{value}'. Valid choices are: {self.choices}")


class OpaqueFunction(Action):
    """Calls `function(context)`; the actions it returns are executed."""

    def __init__(self, *, function: Callable[[LaunchContext], Iterable[Action] | None]) -> None:
        self._function = function

    def execute(self, context: LaunchContext) -> Iterable[Action] | None:
        return self._function(context)


class SetEnvironmentVariable(Action):
    def __init__(self, name: str, value: Text) -> None:
        self._name, self._value = name, value

    def execute(self, context: LaunchContext) -> None:
        context.environment[self._name] = context.perform(self._value)


class RegisterEventHandler(Action):
    def __init__(self, event_handler: EventHandler) -> None:
        self._handler = event_handler

    def execute(self, context: LaunchContext) -> None:
        context.register_event_handler(self._handler)


class EmitEvent(Action):
    def __init__(self, *, event: Event) -> None:
        self._event = event

    def execute(self, context: LaunchContext) -> None:
        context.emit_event_sync(self._event)


class Shutdown(EmitEvent):
    def __init__(self, *, reason: str = "reason not given") -> None:
        super().__init__(event=events.Shutdown(reason=reason))


class LogInfo(Action):
    def __init__(self, *, msg: str) -> None:
        self._message = msg

    def execute(self, context: LaunchContext) -> None:
        log("INFO", "launch.user", self._message)


class ExecuteProcess(Action):
    """Runs a process until it ends or the launch does.

    `output` is accepted and means "screen" whatever it says: the stand-in keeps no log files. When the launch ends the
    process gets SIGINT, then SIGTERM after `sigterm_timeout` seconds, then SIGKILL after `sigkill_timeout` more.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[Text],
        name: str | None = None,
        output: str = "log",
        on_exit: Any = None,
        sigterm_timeout: str = "5",
        sigkill_timeout: str = "5",
    ) -> None:
        self.cmd = list(cmd)
        self._label = name
        self._on_exit = on_exit
        self._timeouts = (float(sigterm_timeout), float(sigkill_timeout))
        self._stop = asyncio.Event()
        self.running: SupervisedProcess | None = None

    def execute(self, context: LaunchContext) -> None:
        if context.is_shutdown:
            return
        command = [context.perform(part) for part in self.cmd]
        context.register_event_handler(OnShutdown(on_shutdown=lambda *_: self._stop.set()))
        if self._on_exit is not None:
            context.register_event_handler(OnProcessExit(target_action=self, on_exit=self._on_exit))
        name = f"{self._label or Path(command[0]).name}-{next(_numbers)}"
        context.keep_alive(self._run(context, name, command, dict(context.environment)))

    async def _run(self, context: LaunchContext, name: str, command: list[str], environment: dict[str, str]) -> None:
        process = self.running = await SupervisedProcess.start(name, command, environment)
        log("INFO", name, f"process started with pid [{process.pid}]")
        facts = {"action": self, "name": name, "cmd": command, "pid": process.pid}
        context.emit_event_sync(ProcessStarted(**facts))
        stopper = asyncio.ensure_future(process.stop_once(self._stop, *self._timeouts))
        code = await process.wait()
        stopper.cancel()
        self.running = None
        if code == 0:
            log("INFO", name, f"process has finished cleanly [pid {process.pid}]")
        else:
            log("ERROR", name, f"process has died [pid {process.pid}, exit code {code}, cmd '{' '.join(command)}'].")
        context.emit_event_sync(ProcessExited(**facts, returncode=code))
