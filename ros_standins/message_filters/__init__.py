"""Stand-in for the official message_filters (Python): the two time synchronizers.

Only the subset this project uses; see ros_standins/README.md.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

STANDIN = True
"""The official package has no such name: getattr(message_filters, "STANDIN", False) tells which of the two runs."""

__all__ = ["STANDIN", "ApproximateTimeSynchronizer", "SimpleFilter", "TimeSynchronizer"]


class SimpleFilter:
    """Something with an output that others register for."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:
        """Call `cb(*messages, *args)` on every output."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Hand `msg` to everyone registered."""
        for callback, arguments in self.callbacks.values():
            callback(*msg, *arguments)


class TimeSynchronizer(SimpleFilter):
    """Outputs one message of each input, all with exactly the same stamp, in the order of `fs`.

    Each input keeps its `queue_size` newest stamps; a message is output once at most, and none after a newer one.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.lock = threading.RLock()
        self.queues: list[dict[int, Any]] = [{} for _ in fs]
        for source, queue in zip(fs, self.queues, strict=True):
            source.registerCallback(self.add, queue)

    def add(self, msg: Any, my_queue: dict[int, Any]) -> None:
        with self.lock:
            stamp = stamp_of(msg)
            self._keep(msg, stamp, my_queue)
            if all(stamp in queue for queue in self.queues):
                self._output([stamp] * len(self.queues))
                for queue in self.queues:  # sets that are still incomplete, but older, never come out
                    for older in [other for other in queue if other < stamp]:
                        del queue[older]

    def _keep(self, msg: Any, stamp: int, queue: dict[int, Any]) -> None:
        queue[stamp] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]

    def _output(self, stamps: Sequence[int]) -> None:
        self.signalMessage(*[queue.pop(stamp) for queue, stamp in zip(self.queues, stamps, strict=True)])


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Outputs one message of each input, stamps less than `slop` seconds apart.

    A new message is matched at once with the stored messages closest to it, not with better ones that may still come.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int, slop: float) -> None:
        super().__init__(fs, queue_size)
        self._slop = int(slop * 1e9)

    def add(self, msg: Any, my_queue: dict[int, Any]) -> None:
        stamp = stamp_of(msg)
        with self.lock:
            self._keep(msg, stamp, my_queue)
            if stamp in my_queue:  # older than a full queue: already out again
                self._match(stamp, my_queue)

    def _match(self, stamp: int, my_queue: dict[int, Any]) -> None:
        slop = self._slop
        candidates = [
            [stamp]
            if queue is my_queue
            else sorted((other for other in queue if abs(other - stamp) <= slop), key=lambda other: abs(other - stamp))
            for queue in self.queues
        ]
        for stamps in itertools.product(*candidates):
            if max(stamps) - min(stamps) < slop:
                self._output(stamps)
                return


def stamp_of(msg: Any) -> int:
    """Nanoseconds of a message's header."""
    stamp = msg.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
