"""FinetuneProcess: starts the fine-tuning process, reads its messages, and says in words how it died."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sray.checkpoint import Checkpoint, save_checkpoint
from sray.errors import InternalError, NoMemoryError, SrayError
from sray.files import write_atomically
from sray.mapping.adaptation import AdaptationConfig, shrunk
from sray.mapping.session import Session
from sray_ros.common.error_codes import error_of
from sray_ros.finetune import child

GLANCE = 0.1
"""Seconds between two looks at whether to stop."""
PATIENCE = float(os.environ.get("SRAY_TUNING_PATIENCE", 180.0))
"""Seconds without a message after which the process counts as hanging. A step takes a few seconds at most."""


@dataclass(frozen=True)
class Handover:
    """Everything that the process must know."""

    config: AdaptationConfig
    session: Session
    checkpoint: Checkpoint
    bounds: tuple[float, float]
    """Near and far, meters."""
    device: str
    threads: int
    memory_limit: int
    """MiB of its own memory; 0: no limit."""

    def write(self, folder: Path) -> None:
        """Raises FileError, and DiskFullError of it."""
        shrunk(self.session, self.config.width).save(folder / child.SESSION)
        save_checkpoint(
            folder / child.PARENT, self.checkpoint.model, self.checkpoint.label_space, self.checkpoint.lineage
        )
        job = {
            "config": asdict(self.config),
            "parent": self.checkpoint.sha256,
            "bounds": self.bounds,
            "device": self.device,
            "threads": self.threads,
            "memory_limit": self.memory_limit,
        }
        write_atomically(folder / child.JOB, json.dumps(job).encode())


class FinetuneProcess:
    """Use as a context: at its end the process is gone."""

    def __init__(self, folder: Path) -> None:
        """Start on the job that is written in the folder."""
        folder = folder.resolve()
        # It finds the modules that this process finds, and none in the folder where it starts.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._killed_for_memory = _killed_for_memory()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sray_ros.finetune.child", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=folder,
            start_new_session=True,  # Ctrl-C in the terminal reaches the node alone
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="finetune", daemon=True).start()

    def __enter__(self) -> FinetuneProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def messages(self, check: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """What the process says, until it has ended in order. `check` is called ten times a second: it raises to stop.

        Raises SrayError: what the process says is wrong, NoMemoryError if the kernel ended it for that,
        InternalError if it died otherwise, or hangs.
        """
        heard = time.monotonic()
        while True:
            check()
            try:
                line = self._lines.get(timeout=GLANCE)
            except queue.Empty:
                if time.monotonic() - heard > PATIENCE:
                    raise InternalError(
                        f"the fine-tuning process has not said anything for {PATIENCE:g} s, and was ended",
                        remedy="See whether device and disk respond, and ask again",
                    ) from None
                continue
            if line is None:
                break
            heard = time.monotonic()
            message = json.loads(line)
            if error := message.get("error"):
                raise error_of(error["code"], error["text"])
            yield message
        if status := self._process.wait():
            raise self._death(status)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _death(self, status: int) -> SrayError:
        if status == -signal.SIGKILL and _killed_for_memory() > self._killed_for_memory:
            return NoMemoryError(
                "the kernel ended the fine-tuning process, as the machine was out of memory",
                remedy="Try a smaller fine_tune.width, fewer keyframes, or end other programs",
            )
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        remedy = "ask again; if nobody did it, look for what the log or the kernel's (dmesg) says of it"
        return InternalError(f"the fine-tuning process {how} before it was done", remedy=remedy)


def _killed_for_memory() -> int:
    """How many processes the kernel has ended for memory since it started; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
