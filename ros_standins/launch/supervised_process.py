"""A child process in a group of its own: output prefixed with its name, stopped by escalating signals."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
import sys
from contextlib import ExitStack
from typing import BinaryIO, TextIO

from launch.core import log

LAST_OUTPUT_TIMEOUT = 1.0
"""Seconds to wait for output after the process has ended: something it started may still hold the pipe."""


class SupervisedProcess:
    """The group of its own makes a Ctrl-C reach the process once, from the launch, and its children with it."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, output: list[asyncio.Task[None]]) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._output = output

    @classmethod
    async def start(cls, name: str, command: list[str], environment: dict[str, str]) -> SupervisedProcess:
        """Raises OSError if the command cannot be run."""
        with ExitStack() as closed_here:
            ends = [os.pipe(), os.pipe()]
            for _, writing in ends:
                closed_here.callback(os.close, writing)
            # Pipes of our own: asyncio's are part of its wait(), which then lasts until grandchildren have ended too.
            output = [
                asyncio.ensure_future(forward(name, os.fdopen(reading, "rb"), screen))
                for (reading, _), screen in zip(ends, (sys.stdout, sys.stderr), strict=True)
            ]
            process = await asyncio.create_subprocess_exec(
                *command, stdout=ends[0][1], stderr=ends[1][1], env=environment, start_new_session=True
            )
        return cls(name, process, output)

    async def wait(self) -> int:
        """The exit code, once the process has ended, its output is shown and nothing of its group is left."""
        code = await self._process.wait()
        self._signal(signal.SIGKILL)
        _, unfinished = await asyncio.wait(self._output, timeout=LAST_OUTPUT_TIMEOUT)
        for task in unfinished:
            task.cancel()
        return code

    async def stop_once(self, asked: asyncio.Event, sigterm_timeout: float, sigkill_timeout: float) -> None:
        """When asked: SIGINT, then SIGTERM, then SIGKILL. To be canceled when the process has ended."""
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


async def forward(name: str, source: BinaryIO, screen: TextIO) -> None:
    """Copy a pipe to the screen, line by line, with the name in front, until nobody can write to it any more."""
    stream = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), source)
    rest = ""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    try:
        while chunk := await stream.read(65536):
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            for line in lines:
                print(f"[{name}] {line}", file=screen, flush=True)
        if rest:
            print(f"[{name}] {rest}", file=screen, flush=True)
    finally:
        transport.close()
