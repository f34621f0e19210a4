"""A process began, or ended."""

from __future__ import annotations

from launch.core import Action, Event


class ProcessStarted(Event):
    def __init__(self, *, action: Action, name: str, cmd: list[str], pid: int) -> None:
        self.action = action
        self.process_name = name
        self.cmd = cmd
        self.pid = pid


class ProcessExited(ProcessStarted):
    def __init__(self, *, action: Action, name: str, cmd: list[str], pid: int, returncode: int) -> None:
        super().__init__(action=action, name=name, cmd=cmd, pid=pid)
        self.returncode = returncode
