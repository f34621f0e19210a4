"""TfRestarts: tells a TF that starts again, as a looping bag's does, from one transform with an odd stamp.

tf2's buffers take nothing in that is 10 s older than the newest of the same frame. So after a recording has started
again they have to be cleared, or no pose is known for as long as the recording is. But clearing is for everybody, and a
single frame is often odd: a driver leaves the stamp 0, has a clock of its own, or sends one message late. So it takes
two witnesses, and they must be frames that our poses depend on, or the camera or the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from geometry_msgs.msg import TransformStamped

from sray_ros.common.conversions import nanoseconds

CACHE_NS = 10 * 10**9
"""What tf2's buffers keep, and no older transform is taken in."""
BACK_NS = 10**9
"""A transform that is so much older than its frame's newest is not merely out of order."""
MOST_KEPT = 200
"""Transforms of one frame that wait for a second witness."""
WITNESS_SECONDS = 10.0
"""How long what camera or clock said counts. TF that is still unread then is not of this jump."""


@dataclass(frozen=True)
class Restart:
    """TF has started again."""

    why: str
    again: tuple[TransformStamped, ...]
    """What has come of the new time, to be taken in once the buffer is empty."""


@dataclass
class _Frame:
    newest_ns: int
    back: list[TransformStamped] = field(default_factory=list)
    """Received one after the other, all of them before the newest by more than BACK_NS."""

    @property
    def distance_ns(self) -> int:
        """How far it has gone back, by its last transform."""
        return self.newest_ns - nanoseconds(self.back[-1].header.stamp) if self.back else 0


class TfRestarts:
    """Not thread-safe."""

    def __init__(self, used: Callable[[], Iterable[str]]) -> None:
        """`used`: frames whose poses have been asked for; they and all above them in the tree count."""
        self._used = used
        self._parents: dict[str, str] = {}
        self._frames: dict[str, _Frame] = {}
        self._bound_ns: int | None = None
        """Camera or clock have gone back to before this."""
        self._bound_until = 0.0
        self._odd: set[str] = set()

    def parent(self, transform: TransformStamped) -> None:
        """Learn who hangs where, of a static transform too."""
        self._parents[transform.child_frame_id] = transform.header.frame_id

    def look(self, transform: TransformStamped) -> Restart | None:
        """Judge a transform, before it is taken in."""
        self.parent(transform)
        name, stamp_ns = transform.child_frame_id, nanoseconds(transform.header.stamp)
        if stamp_ns == 0:
            return None  # a stamp of 0 is no time: it does not tell of a jump
        frame = self._frames.setdefault(name, _Frame(stamp_ns))
        if stamp_ns >= frame.newest_ns - BACK_NS:
            frame.newest_ns = max(frame.newest_ns, stamp_ns)
            frame.back.clear()
            return None
        frame.back = [*frame.back[1 - MOST_KEPT :], transform]
        return self._restart() if name in self._in_use() else None

    def witness(self, new_ns: int, jump_ns: int) -> Restart | None:
        """Camera or clock went back by `jump_ns` to `new_ns`: one frame that has done so too, or does, is enough."""
        self._bound_ns, self._bound_until = new_ns + jump_ns // 2, time.monotonic() + WITNESS_SECONDS
        return self._restart()

    def oddity(self, transform: TransformStamped) -> str | None:
        """What is odd about the stamp of a transform, in words; None if nothing, or if its frame was told of before."""
        name, stamp_ns = transform.child_frame_id, nanoseconds(transform.header.stamp)
        frame = self._frames.get(name)
        if name in self._odd or (stamp_ns != 0 and (frame is None or frame.distance_ns <= CACHE_NS)):
            return None
        self._odd.add(name)
        behind = frame.distance_ns * 1e-9 if frame is not None else 0.0
        how = "stamp 0" if stamp_ns == 0 else f"a stamp {behind:.1f} s before its newest"
        return (
            f"TF: {transform.header.frame_id} <- {name} has {how}; the other frames are not touched by it. Whoever "
            f"publishes {name} should stamp it with the time of its measurement"
        )

    def _restart(self) -> Restart | None:
        """Whether two agree by now."""
        bound_ns = self._bound_ns if time.monotonic() < self._bound_until else None
        for name in self._in_use():
            frame = self._frames.get(name)
            if frame is None or not frame.back:
                continue
            stamps_ns = [nanoseconds(each.header.stamp) for each in frame.back]
            is_far = len(stamps_ns) >= 2 and max(stamps_ns) < frame.newest_ns - CACHE_NS
            if is_far or (bound_ns is not None and stamps_ns[-1] < bound_ns < frame.newest_ns):
                why = f"frame {name} went back by {frame.distance_ns * 1e-9:.1f} s in TF"
                again = tuple(transform for each in self._frames.values() for transform in each.back)
                self._frames = {
                    each: _Frame(max(nanoseconds(transform.header.stamp) for transform in old.back))
                    for each, old in self._frames.items()
                    if old.back
                }
                self._bound_ns = None
                return Restart(why, again)
        return None

    def _in_use(self) -> set[str]:
        """The frames that our poses depend on: those asked for and all above them."""
        found: set[str] = set()
        for name in self._used():
            while name not in found:  # a loop in the tree ends here, too
                found.add(name)
                name = self._parents.get(name, name)
        return found
