"""Ctrl-C as a question that long work asks when it can stop without loss."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C is noted and what is yielded says so; a second one ends the program, as ever.

    Outside the main thread, where signals cannot be had, it never says so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before, pressed = signal.getsignal(signal.SIGINT), []

    def press(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
