"""SIGINT and SIGTERM as an event, so that a node ends in order.

rclpy's own handlers invalidate the context at once: goals stay unanswered, logs are not published, and code that still
uses the context may crash.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

import rclpy
from rclpy.signals import SignalHandlerOptions

from sray.errors import FileError, RequestError


def init_until_signaled(args: list[str] | None) -> threading.Event:
    """Initialize rclpy; the event is set by the first signal to end.

    Raises FileError if rclpy has nowhere to write its log, RequestError for arguments that it does not know.
    """
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        if "log" in reason:
            raise FileError(
                f"ROS cannot begin its log ({reason})",
                "a home that can be written to",
                "Set ROS_LOG_DIR to a folder that can, or HOME",
            ) from error
        raise RequestError(f"ROS does not start ({reason})", remedy="Check what follows --ros-args") from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def end_at_once(status: int = 0) -> NoReturn:
    """Without Python's own end, which waits for every thread, and crashes under one that is in a network."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
