"""What is known of one frame over time: who its parent was and where in the parent it stood.

Stamps are integer nanoseconds; LATEST (0) asks for the newest entry.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from tf2_ros.exceptions import ExtrapolationException
from tf2_ros.rigid import Rigid, interpolate

LATEST = 0


class Link(NamedTuple):
    """The edge from a frame up to its parent at one time."""

    stamp: int
    parent: str
    parent_from_child: Rigid


class MovingHistory:
    """Entries in order of their stamps, none older than the newest minus `cache_time` nanoseconds."""

    def __init__(self, cache_time: int) -> None:
        self._cache_time = cache_time
        self._stamps: list[int] = []
        self._links: list[Link] = []

    def insert(self, link: Link) -> bool:
        """False if the entry is older than everything that is kept."""
        if self._stamps and link.stamp < self._stamps[-1] - self._cache_time:
            return False
        place = bisect_right(self._stamps, link.stamp)
        if place and self._links[place - 1] == link:
            return True  # the same message again, for instance by two subscriptions
        self._stamps.insert(place, link.stamp)
        self._links.insert(place, link)
        expired = 0
        while self._stamps[expired] + self._cache_time < self._stamps[-1]:
            expired += 1
        del self._stamps[:expired], self._links[:expired]
        return True

    def clear(self) -> None:
        self._stamps.clear()
        self._links.clear()

    def latest(self) -> Link | None:
        return self._links[-1] if self._links else None

    def at(self, stamp: int) -> Link:
        """The link at this time, interpolated between its neighbors. Raises ExtrapolationException."""
        if not self._links:
            raise ExtrapolationException("No transform of this frame is in the buffer")
        if stamp == LATEST or stamp == self._stamps[-1]:
            return self._links[-1]
        if len(self._links) == 1:
            raise ExtrapolationException(
                f"Lookup would require extrapolation at time {seconds(stamp)}, "
                f"but only time {seconds(self._stamps[0])} is in the buffer"
            )
        if stamp > self._stamps[-1]:
            raise ExtrapolationException(
                f"Lookup would require extrapolation into the future.  Requested time {seconds(stamp)} "
                f"but the latest data is at time {seconds(self._stamps[-1])}"
            )
        if stamp < self._stamps[0]:
            raise ExtrapolationException(
                f"Lookup would require extrapolation into the past.  Requested time {seconds(stamp)} "
                f"but the earliest data is at time {seconds(self._stamps[0])}"
            )
        place = bisect_right(self._stamps, stamp)
        older, newer = self._links[place - 1], self._links[place]
        if older.stamp == stamp or older.parent != newer.parent:
            return older._replace(stamp=stamp)  # between two parents there is nothing to interpolate
        ratio = (stamp - older.stamp) / (newer.stamp - older.stamp)
        return Link(stamp, older.parent, interpolate(older.parent_from_child, newer.parent_from_child, ratio))


class StaticHistory:
    """One link, valid at any time; clear() leaves it, since a latched message does not come twice."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def insert(self, link: Link) -> bool:
        self._link = link
        return True

    def clear(self) -> None:
        pass

    def latest(self) -> Link | None:
        return self._link._replace(stamp=LATEST)

    def at(self, stamp: int) -> Link:
        return self._link._replace(stamp=stamp)


def seconds(stamp: int) -> str:
    return f"{stamp // 1_000_000_000}.{stamp % 1_000_000_000:09d}"
