"""How the commands of the nodes begin and end: a signal ends them in order at any moment, with exit status 0.

Importing torch takes seconds. Python's own end, when it has given signals back to the system, takes most of a second,
under load more than a launch waits for: the process ends without it.
"""

from __future__ import annotations

import gc
import os
import signal
from importlib import import_module
from types import ModuleType

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
    """Ends with the exit status of the node's `main`, which has handlers of its own once rclpy runs."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(0))  # nothing is begun yet
    try:
        status = int(_imported(module).main())
    finally:
        for number in SIGNALS:  # everything is done
            signal.signal(number, signal.SIG_IGN)
    from sray_ros.common.signals import end_at_once  # not before: it brings rclpy

    gc.collect()  # the node, which reference circles hold, and with it the memory that DDS shares
    end_at_once(status)


def _imported(module: str) -> ModuleType:
    """The module, with all that imports made left out of garbage collections.

    Imports make some 200 000 objects that live as long as the process. Each full collection would walk through them,
    and the node would stand still for it: 80 ms. Collecting while importing costs a sixth of the time.
    """
    gc.disable()
    imported = import_module(module)
    gc.freeze()
    gc.enable()
    return imported
