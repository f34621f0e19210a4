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
import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fno-math-errno", "-fPIC", "-shared", "-pthread", "-Wno-psabi")
COMPILE_SECONDS = 120

logger = logging.getLogger(__name__)


class NoKernel(Exception):
    """Why there is no compiled kernel, in words for a user."""


@functools.cache
def library() -> ctypes.CDLL | NoKernel:
    """The compiled kernel, or why there is none. Compiles on first use (about ten seconds)."""
    try:
        return ctypes.CDLL(str(_compiled()))
    except (NoKernel, OSError) as error:
        reason = error if isinstance(error, NoKernel) else NoKernel(f"the compiled kernel cannot be loaded ({error})")
        logger.warning("rendering with plain PyTorch, about ten times slower: %s", reason)
        return reason


def cache_folder() -> Path:
    """Where compiled kernels are kept: SRAY_CACHE, else the user's cache folder."""
    return Path(os.environ.get("SRAY_CACHE") or Path.home() / ".cache" / "sray") / "kernel"


def _compiled() -> Path:
    if os.environ.get("SRAY_KERNEL") == "0":
        raise NoKernel("SRAY_KERNEL=0 asks for it")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise NoKernel("there is no C++ compiler; install g++ (Debian, Ubuntu: apt install g++)")
    target = cache_folder() / f"rays-{_identity(compiler)}.so"
    if target.exists():
        return target
    # Two processes may compile at once: each into a file of its own, and the rename is atomic.
    partial = target.with_suffix(f".{os.getpid()}.partial")
    command = [compiler, *FLAGS, "-o", str(partial), str(SOURCES / "rays.cpp")]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMPILE_SECONDS)
        partial.replace(target)
    except subprocess.CalledProcessError as error:
        raise NoKernel(f"`{' '.join(command)}` failed: {error.stderr.strip()[:400]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoKernel(f"compiling failed: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _identity(compiler: str) -> str:
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
