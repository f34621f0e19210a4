"""Inbox: what callbacks leave for a worker thread. Its lanes are bounded and take turns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sray.errors import SrayError
from sray_ros.common.refusals import displaced


@dataclass(frozen=True)
class Lane:
    """One kind of work."""

    name: str
    capacity: int
    """Items that may wait; the oldest goes when one too many comes."""
    at_once: bool = False
    """Whether the worker takes all items that wait, or one."""
    overflow: Callable[[], SrayError] = displaced
    """Why the oldest item goes."""
    counts_drops: bool = False
    """Whether an item that has to go counts among the node's refusals."""


class Inbox:
    """Thread-safe. The lanes take turns, so that a full one does not starve the others."""

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self._queues: dict[Lane, deque[Any]] = {lane: deque() for lane in lanes}
        self._lanes = deque(lanes)
        self._is_open = False
        self._news = threading.Condition()
        self.dropped = dict.fromkeys((lane.name for lane in lanes), 0)
        """Items that went without being worked on, by lane."""

    def open(self) -> None:
        with self._news:
            self._is_open = True

    @property
    def is_open(self) -> bool:
        return self._is_open

    def put(self, lane: Lane, item: Any) -> list[Any]:
        """Leave an item. Returns what had to go for it: the oldest ones, or the item itself while closed."""
        with self._news:
            if not self._is_open:
                return [item]
            queue = self._queues[lane]
            queue.append(item)
            gone = [queue.popleft() for _ in range(len(queue) - lane.capacity)]
            self.dropped[lane.name] += len(gone)
            self._news.notify()
            return gone

    def take(self) -> list[Any] | None:
        """The next items of one lane; waits for some. None once closed."""
        with self._news:
            while self._is_open:
                for _ in range(len(self._lanes)):
                    lane = self._lanes[0]
                    self._lanes.rotate(-1)
                    if queue := self._queues[lane]:
                        items = list(queue) if lane.at_once else [queue[0]]
                        for _ in items:
                            queue.popleft()
                        return items
                self._news.wait()
            return None

    def remove_if(self, lane: Lane, condition: Callable[[Any], bool]) -> list[Any]:
        """Take out the waiting items for which `condition(item)` holds."""
        with self._news:
            queue = self._queues[lane]
            gone = [item for item in queue if condition(item)]
            for item in gone:
                queue.remove(item)
            return gone

    def drain(self, *lanes: Lane) -> list[Any]:
        """Take out everything that waits in these lanes."""
        with self._news:
            return self._drain(lanes)

    def close(self) -> list[Any]:
        """Accept no more items and wake the worker. Returns what was still waiting."""
        with self._news:
            self._is_open = False
            self._news.notify_all()
            return self._drain(tuple(self._queues))

    def waiting(self, lane: Lane) -> int:
        """How many items wait in a lane."""
        with self._news:
            return len(self._queues[lane])

    def _drain(self, lanes: tuple[Lane, ...]) -> list[Any]:
        left = [item for lane in lanes for item in self._queues[lane]]
        for lane in lanes:
            self._queues[lane].clear()
        return left
