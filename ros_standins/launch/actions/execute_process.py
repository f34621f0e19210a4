"""Runs a process until it ends or the launch does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from launch.action import Action
from launch.event_handlers import OnProcessExit, OnShutdown
from launch.events.process import ProcessExited, ProcessStarted
from launch.launch_context import LaunchContext
from launch.logging import log
from launch.substitution import SomeSubstitutionsType
from launch.supervised_process import SupervisedProcess

_numbers = itertools.count(1)


class ExecuteProcess(Action):
    """`output` is accepted and means "screen" whatever it says: the stand-in keeps no log files.

    When the launch ends the process gets SIGINT, then SIGTERM after `sigterm_timeout` seconds, then SIGKILL after
    `sigkill_timeout` more.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        name: str | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: Mapping[str, SomeSubstitutionsType] | None = None,
        additional_env: Mapping[str, SomeSubstitutionsType] | None = None,
        output: str = "log",
        on_exit: Any = None,
        sigterm_timeout: SomeSubstitutionsType = "5",
        sigkill_timeout: SomeSubstitutionsType = "5",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cmd = list(cmd)
        self._label, self._cwd, self._env, self._additional_env = name, cwd, env, additional_env or {}
        self._on_exit = on_exit
        self._timeouts = (sigterm_timeout, sigkill_timeout)
        self._stop = asyncio.Event()
        self.running: SupervisedProcess | None = None

    def execute(self, context: LaunchContext) -> None:
        if context.is_shutdown:
            return
        perform = context.perform_substitutions
        command = [perform(part) for part in self.cmd]
        environment = context.environment if self._env is None else {k: perform(v) for k, v in self._env.items()}
        environment = {**environment, **{key: perform(value) for key, value in self._additional_env.items()}}
        context.register_event_handler(OnShutdown(on_shutdown=lambda *_: self._stop.set()))
        if self._on_exit is not None:
            context.register_event_handler(OnProcessExit(target_action=self, on_exit=self._on_exit))
        name = f"{self._label or Path(command[0]).name}-{next(_numbers)}"
        cwd = None if self._cwd is None else perform(self._cwd)
        timeouts = tuple(float(perform(timeout)) for timeout in self._timeouts)
        context.keep_alive(self._run(context, name, command, environment, cwd, timeouts))

    async def _run(
        self,
        context: LaunchContext,
        name: str,
        command: list[str],
        environment: dict[str, str],
        cwd: str | None,
        timeouts: tuple[float, ...],
    ) -> None:
        process = self.running = await SupervisedProcess.start(name, command, environment, cwd)
        log("INFO", name, f"process started with pid [{process.pid}]")
        facts = {"action": self, "name": name, "cmd": command, "pid": process.pid}
        context.emit_event_sync(ProcessStarted(**facts))
        stopper = asyncio.ensure_future(process.stop_once(self._stop, *timeouts))
        code = await process.wait()
        stopper.cancel()
        self.running = None
        if code == 0:
            log("INFO", name, f"process has finished cleanly [pid {process.pid}]")
        else:
            log("ERROR", name, f"process has died [pid {process.pid}, exit code {code}, cmd '{' '.join(command)}'].")
        context.emit_event_sync(ProcessExited(**facts, returncode=code))
