"""Processes of ROS nodes for demos, benchmarks and tests: on a DDS domain of their own, and all gone at the end."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sray.errors import BusyError, NotInstalledError

ROOT = Path(__file__).resolve().parents[1]
DOMAINS = range(1, 101)
"""Above 101 Linux's own ports begin."""
TURN = itertools.count(os.getpid())
"""Where the search for the next domain begins: another one each time, as a node of the last may live on there."""
MARK = "SRAY_RUN"
"""Every process of a run inherits this variable, grandchildren too: what is left can be found."""


class Domain:
    """A DDS domain that no other run on this machine has, until it is closed or the process ends.

    A lock on a file of its number. Raises BusyError where all are taken.
    """

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"dds_domains_{os.getuid()}"
        folder.mkdir(exist_ok=True)
        first = next(TURN) % len(DOMAINS)
        for number in (*DOMAINS[first:], *DOMAINS[:first]):
            self._file = (folder / str(number)).open("w")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                continue
            self.number = number
            return
        raise BusyError(
            f"all DDS domains from {DOMAINS[0]} to {DOMAINS[-1]} are in use on this machine",
            "one that is free",
            "End what earlier runs have left",
        )

    def close(self) -> None:
        self._file.close()

    def environment(self) -> dict[str, str]:
        """This process's, on the domain, on this machine alone, with room for images in shared memory."""
        environment = os.environ | {
            "ROS_DOMAIN_ID": str(self.number),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "PYTHONUNBUFFERED": "1",
        }
        environment.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds_shared_memory.xml"))
        environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)
        return environment


class Processes:
    """Processes of one run, in sessions of their own, with a log file each."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        self._logs = logs
        self._mark = f"{MARK}={os.getpid()}-{time.monotonic_ns()}"
        self._environment = environment | dict([self._mark.split("=")])
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
                start_new_session=True,  # Ctrl-C reaches the run alone, which then ends them in order
            )
        self._started[name] = process
        return process

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def ended(self) -> list[str]:
        """Which have ended without being stopped."""
        return [name for name, process in self._started.items() if process.poll() is not None]

    def stop(self, name: str, patience: float = 20) -> int | None:
        """Ask with SIGINT, then SIGTERM, then SIGKILL; the exit status."""
        process = self._started.pop(name)
        for number, seconds in ((signal.SIGINT, patience), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            if process.poll() is None:
                process.send_signal(number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
        return process.poll()

    def stop_all(self) -> None:
        for name in reversed(list(self._started)):
            self.stop(name)
        for pid in marked(self._mark):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def processes(logs: Path) -> Iterator[Processes]:
    """On a domain of their own; leaving the block, in any way, ends all that was started in it."""
    domain = Domain()
    running = Processes(logs, domain.environment())
    try:
        yield running
    finally:
        # A second Ctrl-C must not interrupt the tidying up.
        old = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            running.stop_all()
        finally:
            signal.signal(signal.SIGINT, old)
            domain.close()


def marked(mark: str) -> list[int]:
    """Living processes, but this one, with a variable in their environment that begins like `mark`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or another user's
            variables = (entry / "environ").read_bytes().split(b"\0")
            if any(variable.startswith(mark.encode()) for variable in variables) and is_running(int(entry.name)):
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ros2_command() -> str:
    """Of this environment. Raises NotInstalledError."""
    found = shutil.which("ros2", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        raise NotInstalledError("there is no ros2 command", "it in .venv/bin", "Run `make setup`")
    return found
