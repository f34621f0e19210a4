"""DepthMatching: finds the depth of each image by stamp. No node, no topics."""

from __future__ import annotations

import threading
import time
from collections import deque

from sensor_msgs.msg import Image

JUMP_BACK_NS = 1_000_000_000
"""Stamps that go back by more than this are a bag that starts again, not images out of order."""
JUST_JUMPED = 0.5
"""Seconds after a jump back in time within which depth from before it may still come."""


class ImageDepth:
    """What depth has come for one image."""

    def __init__(self, stamp_ns: int, slop_ns: float) -> None:
        """`stamp_ns`: the image's."""
        self.nearest: Image | None = None
        """By stamp, within the slop."""
        self.is_settled = False
        """Whether the image's own depth has come, or a later one, after which its own will not come."""
        self._stamp_ns = stamp_ns
        self._slop_ns = slop_ns
        self._apart_ns = 0
        """Of the nearest, if there is one."""

    def offer(self, stamp_ns: int, depth: Image) -> None:
        apart_ns = abs(stamp_ns - self._stamp_ns)
        if apart_ns <= self._slop_ns and (self.nearest is None or apart_ns < self._apart_ns):
            self.nearest, self._apart_ns = depth, apart_ns
        self.is_settled = self.is_settled or stamp_ns >= self._stamp_ns


class DepthMatching:
    """Thread-safe. Depth and image may come in any order.

    An image keeps its depth from when it finds it. So it may wait long for its pose, and only the latest depth is kept
    beside, for images that have not come.
    """

    def __init__(self, queue_size: int, slop: float) -> None:
        """`queue_size`: latest depth that is kept, and images that wait at most; `slop`: seconds."""
        self._latest: deque[tuple[int, Image]] = deque(maxlen=queue_size)
        self._images: deque[ImageDepth] = deque(maxlen=queue_size)
        self._slop_ns = slop * 1e9
        self._lock = threading.Lock()
        self._old_after_ns = 0
        """Later stamps were from before the last jump, when it was just told of."""
        self._jumped = -JUST_JUMPED
        """Steady seconds: when time last jumped back."""

    def of_image(self, stamp_ns: int) -> ImageDepth:
        """What has come for the image of this stamp, and what comes from now on."""
        image = ImageDepth(stamp_ns, self._slop_ns)
        with self._lock:
            for depth_ns, depth in self._latest:
                image.offer(depth_ns, depth)
            self._images.append(image)
        return image

    def add(self, stamp_ns: int, depth: Image) -> None:
        with self._lock:
            if stamp_ns <= self._old_after_ns:
                self._jumped = -JUST_JUMPED  # of the new time, after which none of the old one comes
            elif time.monotonic() - self._jumped < JUST_JUMPED:
                return  # from before the jump: new images would take it for a later one than theirs
            self._keep(stamp_ns + JUMP_BACK_NS)
            self._latest.append((stamp_ns, depth))
            for image in self._images:
                image.offer(stamp_ns, depth)

    def restart(self, new_ns: int, jump_ns: int) -> None:
        """Forget what is from before time went back by `jump_ns` to `new_ns`."""
        with self._lock:
            self._old_after_ns = new_ns + jump_ns // 2
            self._keep(self._old_after_ns)
            self._jumped = -JUST_JUMPED if self._latest else time.monotonic()

    def _keep(self, last_ns: int) -> None:
        """No depth that is later than this."""
        kept = [each for each in self._latest if each[0] <= last_ns]
        self._latest.clear()
        self._latest.extend(kept)
