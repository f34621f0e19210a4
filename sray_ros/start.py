"""How the commands of the nodes begin and end: a signal ends them in order at any moment, with exit status 0.

Importing torch takes seconds, and under load so does Python's own end, when it has given signals back to the system.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def semantic_mapper() -> int:
    return _run("sray_ros.mapper.node")


def sequence_player() -> int:
    return _run("sray_ros.player.node")


def label_scorer() -> int:
    return _run("sray_ros.scorer.node")


def segmenter() -> int:
    return _run("sray_ros.segmenter.node")


def viewer() -> int:
    return _run("sray_ros.viewer.node")


def _run(module: str) -> int:
    """The exit status of the node's `main`, which has handlers of its own once rclpy runs (`common.signals`)."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))  # nothing is begun yet
    try:
        return int(import_module(module).main())
    finally:
        for number in SIGNALS:  # everything is done
            signal.signal(number, signal.SIG_IGN)
