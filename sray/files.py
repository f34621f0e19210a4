"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

from sray.errors import DiskFullError, FileError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No room left: on the disk, in the user's share of it, or below the largest file allowed."""


LEFT_AFTER = 3600.0
"""Seconds after which a half-written file is taken to be left by a process that was killed."""


def failure(what: str, error: OSError, expected: str, remedy: str = "") -> FileError:
    """What to raise of `error`, which the system gave: `what` is what could not be done, with which file."""
    kind = DiskFullError if error.errno in FULL else FileError
    return kind(f"{what} ({error.strerror or error})", expected, remedy)


def _clear_what_was_left(path: Path) -> None:
    """Remove halves that killed writers of this file left: those so old that no process is still writing them."""
    for half in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):  # another one clears too
            if time.time() - half.stat().st_mtime > LEFT_AFTER:
                half.unlink()


def cache_folder(name: str) -> Path:
    """Where what can be made again is kept: in SRAY_CACHE, else in the user's cache folder."""
    return Path(os.environ.get("SRAY_CACHE") or Path.home() / ".cache" / "sray") / name


def write_atomically(path: Path, content: bytes) -> None:
    """Write, flush to disk, rename: killed at any moment, either the old file or the new one is there.

    Folders that are missing are made. Raises DiskFullError or another FileError; the old file is kept then.
    """
    # Process and thread: two that write the same file do not write into each other's half.
    partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_what_was_left(path)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        expected = f"a folder that can be written to, with room for {len(content) / 1e6:.1f} MB"
        raise failure(f"cannot write {path}", error, expected, "Free some space, or give another path") from error
