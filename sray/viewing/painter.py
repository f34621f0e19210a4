"""Painter: the pictures of one browser. While its camera moves a small picture each time, when it rests a full one.

The newest camera wins: one that was passed before its turn is never rendered, and a full picture that is being rendered
for a camera that has moved on is canceled. Small ones are finished, or a camera that never rests would show nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from sray.camera import Camera
from sray.errors import CanceledError, InternalError, SrayError
from sray.origin import WORLD, Origin
from sray.viewing.source import Answer

REST = 0.15
"""Seconds without news of the camera after which it rests."""
PREVIEW_SECONDS = 0.10
"""What a small picture may take to render; sending and painting it come on top."""
FIRST_PREVIEW, LEAST_PREVIEW = 64 * 48, 32 * 24
"""Pixels of the first small picture, and of the smallest."""
MEASURED = 500
"""Pictures whose latency is remembered."""


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """Where a browser looks from."""

    pose: Float[np.ndarray, "4 4"]
    """Of the camera, OpenCV axes, in the frame of `origin`."""
    fov: float
    """Vertical, radians."""
    aspect: float
    """Width over height."""
    origin: Origin = WORLD
    """Of the frame that the browser draws in."""
    since: float = field(default_factory=time.monotonic)
    """Steady seconds: when the browser said so."""

    def camera(self, pixels: int) -> Camera:
        """A pinhole camera there whose picture has about so many pixels, and the browser's shape."""
        height = max(8, round((pixels / self.aspect) ** 0.5))
        width = max(8, round(height * self.aspect))
        focal = 0.5 * height / np.tan(self.fov / 2)
        intrinsics = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        return Camera(intrinsics.float(), torch.from_numpy(self.pose).float(), width, height, self.origin)


@dataclass
class Latency:
    """Seconds from the browser's word of its camera to the picture being handed to the browser's connection."""

    preview: deque[float] = field(default_factory=lambda: deque(maxlen=MEASURED))
    full: deque[float] = field(default_factory=lambda: deque(maxlen=MEASURED))


class Painter:
    """Owns a thread. `look` from any thread; `close` ends it."""

    def __init__(
        self,
        render: Callable[[Camera, bool, Callable[[], bool]], Answer],
        show: Callable[[Answer, bool], None],
        complain: Callable[[SrayError], None],
        pixels: Callable[[], int],
    ) -> None:
        """`render`: camera, whether it is a small one, whether to stop. `show`: the picture, whether it is a full one.
        `complain`: why there is none. `pixels`: of a full picture."""
        self._render = render
        self._show = show
        self._complain = complain
        self._pixels = pixels
        self._preview_pixels = FIRST_PREVIEW
        self._wanted: Viewpoint | None = None
        self._is_open = True
        self._news = threading.Condition()
        self.latency = Latency()
        self.canceled = 0
        """Full pictures that were given up for a newer camera."""
        self._thread = threading.Thread(target=self._work, name="painter", daemon=True)
        self._thread.start()

    @property
    def preview_pixels(self) -> int:
        """Of the next small picture."""
        return self._preview_pixels

    def look(self, viewpoint: Viewpoint) -> None:
        """Paint from here, and forget whatever else was asked for."""
        with self._news:
            self._wanted = viewpoint
            self._news.notify()

    def rest(self) -> None:
        """Nothing more is wanted until the next `look`."""
        with self._news:
            self._wanted = None

    def close(self) -> None:
        """What is being rendered is canceled; returns when the thread has ended, or after five seconds."""
        with self._news:
            self._is_open = False
            self._news.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(5)

    def _work(self) -> None:
        done: Viewpoint | None = None
        while True:
            with self._news:
                while self._is_open and (self._wanted is None or self._wanted is done):
                    self._news.wait()
                wanted = self._wanted
            if not self._is_open or wanted is None:
                return
            if not self._paint(wanted, is_full=False):
                done = wanted
                continue
            with self._news:
                while not self._is_past(wanted) and (left := wanted.since + REST - time.monotonic()) > 0:
                    self._news.wait(left)
            if self._is_past(wanted):
                continue
            self._paint(wanted, is_full=True)
            if not self._is_past(wanted):
                done = wanted

    def _is_past(self, viewpoint: Viewpoint) -> bool:
        return not self._is_open or self._wanted is not viewpoint

    def _paint(self, viewpoint: Viewpoint, *, is_full: bool) -> bool:
        """Whether a picture came of it."""
        pixels = self._pixels() if is_full else min(self._preview_pixels, self._pixels())
        begun = time.monotonic()
        try:
            answer = self._render(
                viewpoint.camera(pixels),
                not is_full,
                (lambda: self._is_past(viewpoint)) if is_full else (lambda: not self._is_open),
            )
        except SrayError as error:
            if not isinstance(error, CanceledError):
                self._complain(error)
            elif is_full:
                self.canceled += 1
            return False
        except Exception as error:  # a bug, or a device: the next viewpoint is painted all the same
            self._complain(InternalError(repr(error)))
            return False
        if not is_full:
            self._learn(pixels, time.monotonic() - begun)
        if self._is_open:
            self._show(answer, is_full)
            (self.latency.full if is_full else self.latency.preview).append(time.monotonic() - viewpoint.since)
        return True

    def _learn(self, pixels: int, seconds: float) -> None:
        """The next small picture as large as comes in time; by half or double at most, as a busy moment passes."""
        factor = min(2.0, max(0.5, PREVIEW_SECONDS / max(seconds, 1e-3)))
        self._preview_pixels = max(LEAST_PREVIEW, round(pixels * factor**0.5))
