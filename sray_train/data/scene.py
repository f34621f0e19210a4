"""Scenes: recordings at one size, their pictures read when asked for and kept while there is room."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import torch

from sray.camera import Camera
from sray.frames import Frame
from sray.sampling import ROOM_BOUNDS
from sray.view_selection import evenly_spread, select_views

ASPECT_TOLERANCE = 0.02
"""By which pictures may be squeezed, so that scenes of nearly one aspect share a size."""


class Recording(Protocol):
    """A recorded scene as its dataset's reader gives it: every camera known at once, pictures read one by one.

    Frames without a usable pose are left out of the recording, and counted.
    """

    @property
    def name(self) -> str: ...
    @property
    def cameras(self) -> Camera:
        """One batch, at the recorded size."""
        ...

    @property
    def bounds(self) -> tuple[float, float]:
        """Near and far, camera z in meters (or the dataset's own unit); ROOM_BOUNDS where it does not say."""
        ...

    @property
    def skipped(self) -> dict[str, list[int]]:
        """Reason -> numbers of the frames left out."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, position: int) -> Frame:
        """Raises FileError, naming the file, if it cannot be read or has another size than the others."""
        ...


class FrameCache:
    """Frames read before, the longest unused dropped first. Shared by scenes and threads."""

    def __init__(self, megabytes: int = 6000) -> None:
        self._room = megabytes * 1_000_000
        self._frames: OrderedDict[tuple[int, int], Frame] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int]) -> Frame | None:
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
            return self._frames.get(key)

    def put(self, key: tuple[int, int], frame: Frame) -> None:
        with self._lock:
            if key in self._frames:
                return
            self._frames[key] = frame
            self._room -= _size_of(frame)
            while self._room < 0 and len(self._frames) > 1:
                _, dropped = self._frames.popitem(last=False)
                self._room += _size_of(dropped)


class LazyFrames(Sequence[Frame]):
    """Frames that are made when asked for, by their position."""

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        return self._frame(range(len(self))[index])

    @abstractmethod
    def _frame(self, position: int) -> Frame:
        """The one at a position from 0 on, which there is."""


class Readable(Protocol):
    """What gives a frame by its position: a recording, or a folder of single pictures."""

    def __getitem__(self, position: int) -> Frame: ...


class RecordedFrames(LazyFrames):
    """Chosen frames of a recording, at one size, read when asked for."""

    def __init__(
        self, recording: Readable, positions: Sequence[int], size: tuple[int, int] | None, cache: FrameCache
    ) -> None:
        self._recording = recording
        self._positions = positions
        self._size = size
        self._cache = cache

    def __len__(self) -> int:
        return len(self._positions)

    def _frame(self, position: int) -> Frame:
        key = (id(self), position)
        frame = self._cache.get(key)
        if frame is None:
            frame = self._recording[self._positions[position]]
            if self._size is not None:
                frame = frame.resized(*self._size)
            self._cache.put(key, frame)
        return frame


@dataclass(frozen=True)
class Scene:
    """Posed pictures of one place, at one size."""

    name: str
    frames: Sequence[Frame]
    cameras: Camera
    """The frames' cameras as one batch."""
    bounds: tuple[float, float] = ROOM_BOUNDS
    """Near and far, camera z in meters."""

    @staticmethod
    def of(
        recording: Recording, size: tuple[int, int] | None = None, most: int = 0, cache: FrameCache | None = None
    ) -> Scene:
        """A recording, resized to (width, height) if given, thinned evenly to `most` frames if it has more (0: all)."""
        count = len(recording)
        kept = min(most or count, count)
        positions = evenly_spread(kept, count)
        cameras = recording.cameras[positions]
        return Scene(
            recording.name,
            RecordedFrames(recording, positions, size, cache or FrameCache()),
            cameras if size is None else cameras.resized(*size),
            recording.bounds,
        )

    @property
    def has_labels(self) -> bool:
        """Whether any frame has labels. Reads frames until one has."""
        return any(frame.labels is not None for frame in self.frames)

    @property
    def has_depth(self) -> bool:
        """Whether any frame has depth. Reads frames until one has."""
        return any(frame.depth is not None for frame in self.frames)

    def spread(self, most: int) -> list[int]:
        """At most so many frames, evenly over the scene."""
        return list(dict.fromkeys(evenly_spread(most, len(self.frames))))

    def nearest(self, target: int, count: int, among: Sequence[int] | None = None) -> list[int]:
        """The frames that see most of what frame `target` sees, best first; never the target itself.

        `among`: only these frames.
        """
        excluded = torch.zeros(len(self.frames), dtype=torch.bool)
        if among is not None:
            excluded[:] = True
            excluded[list(among)] = False
        excluded[target] = True
        return select_views(self.cameras[target], self.cameras, count, excluded, bounds=self.bounds)


def fitting_size(recording: Recording, width: int, height: int) -> tuple[int, int]:
    """The width asked for, and the height too if it keeps the recording's aspect to 2 %; else the height that does.

    What is squeezed looks like nothing a model has seen. Within 2 % (ScanNet's 1296x968 at 320x240) one size for all
    scenes is worth more.
    """
    cameras = recording.cameras
    kept = cameras.height * width / cameras.width
    return width, height if abs(height - kept) <= ASPECT_TOLERANCE * kept else max(1, round(kept))


def _size_of(frame: Frame) -> int:
    parts = (frame.image, frame.depth, frame.labels)
    return sum(part.numel() * part.element_size() for part in parts if part is not None)
