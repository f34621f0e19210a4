"""A child process in a group of its own: output prefixed with its name, stopped by escalating signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TextIO

from launch.logging import log

LAST_OUTPUT_TIMEOUT = 1.0
"""Seconds to wait for output after the process has ended: something it started may still hold the pipe."""


class SupervisedProcess:
    """The group of its own makes a Ctrl-C reach the process once, from the launch, and its children with it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._output = [
            asyncio.ensure_future(self._forward(process.stdout, sys.stdout)),
            asyncio.ensure_future(self._forward(process.stderr, sys.stderr)),
        ]

    @classmethod
    async def start(
        cls, name: str, command: list[str], environment: dict[str, str], cwd: str | None
    ) -> SupervisedProcess:
        """Raises OSError if the command cannot be run."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdout=pipe, stderr=pipe, env=environment, cwd=cwd, start_new_session=True
        )
        return cls(name, process)

    async def wait(self) -> int:
        """The exit code, once the process has ended, its output is shown and nothing of its group is left."""
        code = await self._process.wait()
        self._signal(signal.SIGKILL)
        await asyncio.wait(self._output, timeout=LAST_OUTPUT_TIMEOUT)
        return code

    async def stop_once(self, asked: asyncio.Event, sigterm_timeout: float, sigkill_timeout: float) -> None:
        """When asked: SIGINT, then SIGTERM, then SIGKILL. To be cancelled when the process has ended."""
        await asked.wait()
        for number, patience in ((signal.SIGINT, sigterm_timeout), (signal.SIGTERM, sigkill_timeout)):
            log("INFO", self.name, f"sending signal '{number.name}' to process[{self.name}]")
            self._signal(number)
            await asyncio.sleep(patience)
            log("ERROR", self.name, f"process[{self.name}] still runs {patience:g} seconds after '{number.name}'")
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def _forward(self, stream: asyncio.StreamReader, screen: TextIO) -> None:
        rest = ""
        while chunk := await stream.read(65536):
            *lines, rest = (rest + chunk.decode(errors="replace")).split("\n")
            for line in lines:
                print(f"[{self.name}] {line}", file=screen, flush=True)
        if rest:
            print(f"[{self.name}] {rest}", file=screen, flush=True)
