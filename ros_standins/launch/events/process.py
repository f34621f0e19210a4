"""A process began, or ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.event import Event

if TYPE_CHECKING:
    from launch.actions import ExecuteProcess


class ProcessStarted(Event):
    name = "launch.events.process.ProcessStarted"

    def __init__(self, *, action: ExecuteProcess, name: str, cmd: list[str], pid: int) -> None:
        self.action = action
        self.process_name = name
        self.cmd = cmd
        self.pid = pid


class ProcessExited(ProcessStarted):
    name = "launch.events.process.ProcessExited"

    def __init__(self, *, action: ExecuteProcess, name: str, cmd: list[str], pid: int, returncode: int) -> None:
        super().__init__(action=action, name=name, cmd=cmd, pid=pid)
        self.returncode = returncode
