"""Keeps freed memory in the process: training frees and takes the same large activations at every step."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed blocks instead of giving them back; whether it could be told.

    By default every block above 32 MiB is mapped anew, and its first touch costs a page fault per 4 KiB: a tenth of a
    training step, half of a wide render in plain PyTorch. The process keeps its peak memory in return.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, musl say
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
