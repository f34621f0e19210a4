"""Compiles the kernel for this machine, once: the result is cached by source, compiler and processor.

Nothing needs it. Without a compiler, or if compiling fails, `library` says why and rendering takes the plain version.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from sray.files import cache_folder

SOURCES = Path(__file__).parent
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fno-math-errno", "-fPIC", "-shared", "-pthread", "-Wno-psabi")
COMPILE_SECONDS = 120

logger = logging.getLogger(__name__)


class NoKernel(Exception):
    """Why there is no compiled kernel, in words for a user."""


_lock = threading.Lock()


def library() -> ctypes.CDLL | NoKernel:
    """The compiled kernel, or why there is none. Compiles on first use (some seconds)."""
    with _lock:  # two threads that ask at once wait for one compiler
        return _library()


@functools.cache
def _library() -> ctypes.CDLL | NoKernel:
    try:
        return _loaded()
    except NoKernel as reason:
        logger.warning("rendering with plain PyTorch, about ten times slower: %s", reason)
        return reason


def forget() -> None:
    """Look again at the next call of `library`."""
    _library.cache_clear()


def _loaded() -> ctypes.CDLL:
    if os.environ.get("SRAY_KERNEL") == "0":
        raise NoKernel("SRAY_KERNEL=0 asks for it")
    found = shutil.which("g++") or shutil.which("clang++")
    compiler = shlex.split(os.environ.get("CXX", "")) or ([found] if found else [])
    if not compiler:
        raise NoKernel("there is no C++ compiler; install g++ (Debian, Ubuntu: apt install g++)")
    try:
        target = cache_folder("kernel") / f"rays-{_identity(compiler)}.so"
        if target.exists():
            try:
                return _checked(target)
            except OSError:  # cut short, say: made anew
                target.unlink()
        _compile(compiler, target)
        return _checked(target)
    except subprocess.CalledProcessError as error:
        raise NoKernel(f"`{shlex.join(error.cmd)}` failed: {error.stderr.strip()[:400]}") from error
    except subprocess.TimeoutExpired as error:
        raise NoKernel(f"compiling took more than {COMPILE_SECONDS} s; SRAY_KERNEL=0 does without") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        raise NoKernel(f"the kernel cannot be made or loaded ({error}); SRAY_CACHE may name another folder") from error


def _compile(compiler: list[str], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own: two processes may compile at once, and the rename is atomic.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="partial-") as folder:
        made = Path(folder) / target.name
        command = [*compiler, *FLAGS, "-o", str(made), *map(str, sorted(SOURCES.glob("*.cpp")))]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMPILE_SECONDS)
        with made.open("rb") as file:
            os.fsync(file.fileno())
        made.replace(target)


def _checked(path: Path) -> ctypes.CDLL:
    """Raises OSError if the file is no library with our functions."""
    kernel = ctypes.CDLL(str(path))
    try:
        kernel.sray_render.restype = kernel.sray_sweep.restype = ctypes.c_int32
    except AttributeError as error:
        raise OSError(f"{path} lacks a function: {error}") from error
    return kernel


def _identity(compiler: list[str]) -> str:
    """Changes with the source, the compiler and the processor: a home folder may be shared by several machines."""
    digest = hashlib.sha256(repr((compiler, FLAGS, platform.machine(), _processor_features())).encode())
    for source in sorted(SOURCES.glob("*.[ch]pp")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _processor_features() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), platform.processor())
