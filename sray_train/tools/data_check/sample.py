"""The frames that the checks read, at most 640 pixels wide. A frame that cannot be read is noted."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sray.errors import SrayError
from sray.frames import Frame
from sray.view_selection import evenly_spread
from sray_train.data.scene import Recording

WIDEST = 640
"""Pixels. Larger pictures are shrunk first: faults this checks for are no smaller in them."""


class Sample:
    """The frames of a recording that were asked for, kept, and the reasons of those that could not be read."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.unreadable: dict[int, str] = {}
        """Position -> what the reader said."""
        self._frames: dict[int, Frame] = {}

    def __len__(self) -> int:
        """Frames of the recording, read or not."""
        return len(self.recording)

    def frame(self, position: int) -> Frame | None:
        """None if it cannot be read; why is in `unreadable`."""
        if position in self.unreadable:
            return None
        if position not in self._frames:
            try:
                frame = self.recording[position]
            except SrayError as error:
                self.unreadable[position] = str(error)
                return None
            self._frames[position] = _shrunk(frame)
        return self._frames[position]

    @property
    def frames(self) -> dict[int, Frame]:
        """Position -> frame, of all read so far, in order."""
        return dict(sorted(self._frames.items()))

    def spread(self, count: int) -> list[int]:
        """`count` positions evenly over the recording, or all if it has fewer."""
        return evenly_spread(min(count, len(self)), len(self))

    def number(self, position: int) -> int:
        """The frame's number in its dataset: the file's where the reader knows it."""
        for name in ("indices", "numbers"):
            if (numbers := getattr(self.recording, name, None)) is not None:
                return int(numbers[position])
        return position

    @cached_property
    def poses(self) -> NDArray[np.float64]:
        """world_from_camera (frames, 4, 4) as stored."""
        # The reader's own double precision where it has it: millimeters far from the origin suffer in single.
        stored = getattr(self.recording, "poses", None)
        poses = stored if stored is not None else self.recording.cameras.world_pose
        return np.asarray(poses, np.float64)


def _shrunk(frame: Frame) -> Frame:
    width, height = frame.camera.width, frame.camera.height
    if width <= WIDEST:
        return frame
    return frame.resized(WIDEST, max(1, round(height * WIDEST / width)))
