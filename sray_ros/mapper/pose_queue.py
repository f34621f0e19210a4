"""PoseQueue: where items wait until TF knows their pose, for a bounded time and in bounded number.

rclpy has no tf2 MessageFilter; this is the part of it that a node needs.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tf2_ros
from builtin_interfaces.msg import Time as TimeMessage
from rclpy.time import Time

from sray.errors import SrayError
from sray.recorded_bag import tf_name
from sray_ros.common.error_codes import NoPoseError
from sray_ros.common.poses import Matrix, matrix_of_transform

MOST_FRAMES = 32
"""Frames that count as asked for: cameras, and what viewpoints are given in."""
JUST_FORGOTTEN = 1.0
"""Seconds more than tf.timeout within which a missing pose is put down to TF having been forgotten."""
GRACE = 0.05
"""Seconds between finding an item late and refusing it. After a pause of the whole machine, TF has yet to be read."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """Something that needs `frame` in the map at `stamp`."""

    frame: str
    stamp: TimeMessage
    deliver: Callable[[Matrix], None]
    """Called with map_from_frame."""
    refuse: Callable[[SrayError], None]
    may_be_latest: bool = False
    """Whether stamp 0 means the latest pose, as in tf2. An image without a stamp is a mistake."""
    is_ready: Callable[[], bool] = lambda: True
    """Anything else worth waiting for as long as the time is not up."""


@dataclass(eq=False)
class _Queued:
    waiting: Waiting
    since: float
    late_since: float = math.inf
    """The first look that found it late."""


class PoseQueue:
    """Thread-safe. Waiting is measured on steady time, because simulated time stands still with its bag."""

    def __init__(
        self,
        buffer: tf2_ros.Buffer,
        map_frame: str,
        capacity: int,
        timeout: Callable[[], float],
        on_overflow: Callable[[], SrayError],
    ) -> None:
        """`on_overflow`: makes the error that refuses the oldest image when more than `capacity` wait."""
        self._buffer = buffer
        self._map_frame = map_frame
        self._capacity = capacity
        self._timeout = timeout
        self._on_overflow = on_overflow
        self._queue: list[_Queued] = []
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._tf_began = (-math.inf, "")
        """When TF was forgotten (steady time), and why."""
        self.last_gap: str = ""
        """Why the last item has no pose; empty if it has."""

    @property
    def frames(self) -> set[str]:
        """Those whose poses were asked for of late, and the map's."""
        with self._lock:
            return {tf_name(self._map_frame), *self._asked}

    def tf_began_anew(self, why: str) -> None:
        """TF was cleared: images that lack a pose soon afterwards get this as the reason."""
        self._tf_began = (time.monotonic(), why)

    def put(self, waiting: Waiting) -> None:
        """Deliver at once if the pose is there; else wait. A full queue gives up on its oldest: if that has its pose,
        on what else it waited for.
        """
        settled: list[tuple[Callable[[Any], None], Any]] = []
        with self._lock:
            self._queue.append(_Queued(waiting, time.monotonic()))
            for _ in range(len(self._queue) - self._capacity):
                oldest = self._queue.pop(0).waiting
                try:
                    settled.append((oldest.deliver, self._lookup(oldest)))
                except Exception:  # whatever is wrong with its pose: it has waited behind too many
                    settled.append((oldest.refuse, self._on_overflow()))
        for settle, argument in settled:  # outside the lock: they may put something here
            settle(argument)
        self.poll()

    def poll(self) -> None:
        """Deliver what has its pose, refuse what has waited too long. Call often."""
        with self._lock:
            queue, self._queue = self._queue, []
            still: list[_Queued] = []
            settled: list[tuple[Callable[[Any], None], Any]] = []
            for queued in queue:
                waiting, now = queued.waiting, time.monotonic()
                if is_late := now - queued.since >= self._timeout():
                    queued.late_since = min(queued.late_since, now)
                try:
                    matrix = self._lookup(waiting)
                except tf2_ros.TransformException as error:
                    if is_late and now - queued.late_since >= GRACE:
                        settled.append((waiting.refuse, self._no_pose(waiting, str(error), self._remedy(error))))
                    else:
                        still.append(queued)
                except SrayError as error:
                    self.last_gap = str(error)
                    settled.append((waiting.refuse, error))
                except Exception as error:  # an item that tf2 cannot handle must not affect the others
                    settled.append((waiting.refuse, self._no_pose(waiting, repr(error), "Check the header's values")))
                else:
                    if is_late or waiting.is_ready():
                        self.last_gap = ""
                        settled.append((waiting.deliver, matrix))
                    else:
                        still.append(queued)
            self._queue = still
        for settle, argument in settled:  # outside the lock: they may put something here
            settle(argument)

    def refuse_all(self, error: SrayError) -> None:
        """Forget everything that waits, and say why."""
        with self._lock:
            queue, self._queue = self._queue, []
        for queued in queue:
            queued.waiting.refuse(error)

    def between(self, frame: str, other: str) -> Matrix | None:
        """frame_from_other as TF last heard; None if it connects them not, or not by a rigid transform."""
        try:
            found = self._buffer.lookup_transform(tf_name(frame), tf_name(other), Time())
            return matrix_of_transform(found.transform)
        except (tf2_ros.TransformException, SrayError):
            return None

    def __len__(self) -> int:
        return len(self._queue)

    def _lookup(self, waiting: Waiting) -> Matrix:
        if not waiting.frame:
            raise NoPoseError("the header has no frame_id", "the camera's optical frame")
        if waiting.stamp.sec < 0:
            raise NoPoseError(f"the header has stamp {waiting.stamp.sec} s", "a time since 1970")
        if not (waiting.may_be_latest or waiting.stamp.sec or waiting.stamp.nanosec):
            raise NoPoseError("the header has stamp 0", "the time of the exposure")
        self._asked[tf_name(waiting.frame)] = None
        self._asked.move_to_end(tf_name(waiting.frame))
        if len(self._asked) > MOST_FRAMES:
            self._asked.popitem(last=False)
        stamp = Time.from_msg(waiting.stamp)
        found = self._buffer.lookup_transform(tf_name(self._map_frame), tf_name(waiting.frame), stamp)
        return matrix_of_transform(found.transform)

    def _remedy(self, error: tf2_ros.TransformException) -> str:
        """What to look at, by what is missing."""
        since, why = self._tf_began
        if time.monotonic() - since < self._timeout() + JUST_FORGOTTEN:
            return f"TF was forgotten {time.monotonic() - since:.1f} s ago ({why}) and is still being heard anew"
        if isinstance(error, tf2_ros.ExtrapolationException):
            return "TF has both frames, but at other times. Is localization running, by the clock of the camera?"
        return f"Is localization running, and are the names right: map_frame {self._map_frame}, the picture's frame_id?"

    def _no_pose(self, waiting: Waiting, why: str, remedy: str) -> NoPoseError:
        self.last_gap = (
            f"TF has no {self._map_frame} <- {waiting.frame} at {waiting.stamp.sec}.{waiting.stamp.nanosec:09d} within "
            f"tf.timeout ({self._timeout():g} s): {why.rstrip(' .')}"
        )
        return NoPoseError(self.last_gap, remedy=remedy)
