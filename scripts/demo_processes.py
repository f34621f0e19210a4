"""The demo's processes: started in sessions of their own, marked, and all gone at the end, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "SRAY_DEMO_RUN"
"""Every process of a run inherits this variable, grandchildren too: what is left can be found."""


class Processes:
    """Processes of one run, with a log file each."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        self._logs = logs
        self._mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self._environment = environment | {MARK: self._mark}
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Run a command; what it writes goes to <logs>/<name>.log."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends them in order
            )
        self._started[name] = process
        return process

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def stop(self, name: str, patience: float = 20) -> int | None:
        """Ask with SIGINT, then SIGTERM, then SIGKILL; the exit status."""
        process = self._started[name]
        for number, seconds in ((signal.SIGINT, patience), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if process.poll() is not None:
                break
            process.send_signal(number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        return process.poll()

    def leftovers(self) -> list[int]:
        """Living processes of this run, found by the mark in their environment."""
        wanted = f"{MARK}={self._mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:  # ended meanwhile, or another user's
                continue
        return found

    def stop_all(self) -> None:
        for name in reversed(self._started):
            self.stop(name)
        for pid in self.leftovers():
            os.kill(pid, signal.SIGKILL)


@contextmanager
def processes(logs: Path, environment: dict[str, str]) -> Iterator[Processes]:
    """Leaving the block, in any way, ends all that was started in it."""
    running = Processes(logs, environment)
    try:
        yield running
    finally:
        # A second Ctrl-C must not interrupt the tidying up.
        old = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            running.stop_all()
        finally:
            signal.signal(signal.SIGINT, old)
