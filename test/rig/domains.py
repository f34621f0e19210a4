"""DDS domains for tests: one that no other test on this machine has now, whichever run it belongs to."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

DOMAINS = range(1, 101)
"""Above 101 Linux's own ports begin."""


class Domain:
    """Reserved until closed, or until the process ends: a lock on a file of its number."""

    def __init__(self) -> None:
        folder = Path(tempfile.gettempdir()) / f"dds_domains_{os.getuid()}"
        folder.mkdir(exist_ok=True)
        first = os.getpid() % len(DOMAINS)
        for number in (*DOMAINS[first:], *DOMAINS[:first]):
            file = (folder / str(number)).open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            self.number, self._file = number, file
            return
        raise RuntimeError(f"all of {DOMAINS} are in use; are there processes left over from earlier runs?")

    _file: IO[str]

    def close(self) -> None:
        self._file.close()
