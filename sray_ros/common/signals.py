"""SIGINT and SIGTERM as an event, so that a node ends in order.

rclpy's own handlers invalidate the context at once: goals stay unanswered, logs unpublished, and what still uses the
context may crash.
"""

from __future__ import annotations

import signal
import threading

import rclpy
from rclpy.signals import SignalHandlerOptions


def init_until_signalled(args: list[str] | None) -> threading.Event:
    """Initialise rclpy; the event is set by the first signal to end."""
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
