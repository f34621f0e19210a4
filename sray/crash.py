"""How a command ends when something goes wrong: one line on standard error, exit status 1, and a log file for a bug.

@ends_in_one_line("sray")
def main() -> int: ...
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec

import torch

from sray.errors import NoMemoryError, SrayError
from sray.files import failure

P = ParamSpec("P")
FILE_ERRORS = frozenset(
    {
        errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT, errno.EISDIR, errno.EEXIST, errno.ELOOP,
        errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE,
    }
)  # fmt: skip
"""What a machine, and not this program, is to blame for."""


def ends_in_one_line(program: str) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Decorates a command's `main`: an exception is printed as one line, and the exit status is 1. Signals pass."""

    def decorate(main: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(main)
        def ended(*args: P.args, **kwargs: P.kwargs) -> int:
            try:
                return main(*args, **kwargs)
            except BrokenPipeError:
                ignore_output()
                return 1
            except Exception as error:
                print(f"{program}: {one_line(program, error)}", file=sys.stderr)
                return 1

        return ended

    return decorate


def ignore_output() -> None:
    """The program that read our output has ended, as `| head` does: drop what is still to be written, at exit too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def one_line(program: str, error: Exception) -> str:
    """What to tell the user. Of a bug it names the log file that it writes."""
    if isinstance(error, SrayError):
        return str(error)
    if isinstance(error, OSError) and error.errno in FILE_ERRORS:
        return str(_of_a_file(error))
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        reason = (str(error).splitlines() or [""])[0]
        return str(NoMemoryError(f"there was not enough memory ({reason})", remedy="Try smaller pictures"))
    where = write_log(program, error)
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return f"a bug ({what}); please report it with {where}"


def write_log(program: str, error: Exception) -> str:
    """Write what a report needs; returns the file, or the traceback itself where no file can be written."""
    told = "".join(
        [
            f"{program}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}\n",
            f"command: {' '.join(sys.argv)}\n",
            f"Python {platform.python_version()}, torch {torch.__version__}, {platform.platform()}\n\n",
            *traceback.format_exception(error),
        ]
    )
    name = f"{program}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in _log_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            path.write_text(told)
        except (OSError, RuntimeError):
            continue
        return str(path)
    return f"this, as no log file could be written:\n{told}"


def _log_folders() -> Iterator[Path]:
    """Where users look first; then where anybody may write."""
    if root := os.environ.get("XDG_STATE_HOME"):
        yield Path(root) / "sray"
    with contextlib.suppress(RuntimeError):  # no home at all
        yield Path.home() / ".local" / "state" / "sray"
    yield Path(tempfile.gettempdir())


def _of_a_file(error: OSError) -> SrayError:
    what = f"{error.filename} cannot be used" if error.filename else "a file cannot be used"
    try:
        is_at_home = bool(error.filename) and Path(str(error.filename)).is_relative_to(Path.home())
    except RuntimeError:
        is_at_home = False
    remedy = "Check the path and its permissions, or free some space"
    if is_at_home:
        remedy += "; where the home is read-only set HOME, or SRAY_CACHE for what is kept between runs"
    return failure(what, error, "a place that can be read and written", remedy)
