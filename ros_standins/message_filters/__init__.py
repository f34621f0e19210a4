"""Stand-in for the official message_filters (Python): subscribers and the two time synchronizers.

Only the subset this project uses (no Cache, no Chain); see ros_standins/README.md.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import ROSClock
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node

STANDIN = True
"""The official package has no such name: getattr(message_filters, "STANDIN", False) tells which of the two runs."""

__all__ = ["STANDIN", "ApproximateTimeSynchronizer", "SimpleFilter", "Subscriber", "TimeSynchronizer"]


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


class Subscriber(SimpleFilter):
    """A subscription whose messages are the output. Keywords go to Node.create_subscription; depth 10 if no QoS."""

    def __init__(self, node: Node, msg_type: type, topic: str, /, **kwargs: Any) -> None:
        super().__init__()
        self.node = node
        self.topic = topic
        kwargs.setdefault("qos_profile", 10)
        self.sub = node.create_subscription(msg_type, topic, self.callback, **kwargs)

    def callback(self, msg: Any) -> None:
        self.signalMessage(msg)

    def getTopic(self) -> str:
        return self.topic

    def __getattr__(self, key: str) -> Any:
        if key == "sub":  # the constructor failed: without this the next line would look for itself
            raise AttributeError(key)
        return getattr(self.sub, key)


class TimeSynchronizer(SimpleFilter):
    """Outputs one message of each input, all with exactly the same stamp, in the order of `fs`.

    Each input keeps its `queue_size` newest stamps; a message is output once at most, and none after a newer one.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.lock = threading.RLock()
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[SimpleFilter]) -> None:
        self.queues: list[dict[int, Any]] = [{} for _ in fs]
        self.input_connections = [
            source.registerCallback(self.add, queue, index)
            for index, (source, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
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
    Messages without a header are dropped, or with `allow_headerless` stamped with the time of their arrival;
    `sync_arrival_time` does that to every message. By keyword only: official versions differ in their order.
    """

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        slop: float,
        *,
        allow_headerless: bool = False,
        sync_arrival_time: bool = False,
    ) -> None:
        super().__init__(fs, queue_size)
        self.slop = Duration(seconds=slop)
        self.allow_headerless = allow_headerless
        self.sync_arrival_time = sync_arrival_time

    def add(self, msg: Any, my_queue: dict[int, Any], my_queue_index: int | None = None) -> None:
        headerless = not hasattr(getattr(msg, "header", None), "stamp")
        if headerless and not (self.allow_headerless or self.sync_arrival_time):
            get_logger("message_filters_approx").warning(
                f"dropped a {type(msg).__name__}: it has no header.stamp to synchronize by, and allow_headerless is off"
            )
            return
        stamp = ROSClock().now().nanoseconds if headerless or self.sync_arrival_time else stamp_of(msg)
        with self.lock:
            self._keep(msg, stamp, my_queue)
            if stamp in my_queue:  # older than a full queue: already out again
                self._match(stamp, my_queue)

    def _match(self, stamp: int, my_queue: dict[int, Any]) -> None:
        slop = self.slop.nanoseconds
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
    """Nanoseconds of a header that holds a message or an rclpy Time."""
    stamp = msg.header.stamp
    if hasattr(stamp, "nanoseconds"):
        return int(stamp.nanoseconds)
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
