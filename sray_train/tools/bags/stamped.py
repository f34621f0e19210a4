"""Checks of any topic with a header: its stamps, its frame, its size, and damaged messages."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sray.errors import SrayError
from sray_train.tools.bags.rows import Row, listed, note, ok, percent, problem

JUMP_NS = 1_000_000_000
"""Stamps that go back by more make the node forget its poses, as after a bag that starts again."""
ENOUGH = 0.5
"""Of the pictures; a bag in which fewer can be used is not fit to use."""
LARGEST_SIDE = 1 << 14
"""Pixels; beyond it a message is damaged."""
KINDS_KEPT = 100
"""Of frames, encodings and sizes; damaged messages may name ever new ones."""


class StampedTopic:
    """Messages of one topic, taken one by one. Memory: 16 bytes a message."""

    def __init__(self, subject: str, name: str) -> None:
        self.subject = subject
        self.name = name
        self._stamps = array("q")
        self._times = array("q")
        self.frames: Counter[str] = Counter()
        self.sizes: Counter[tuple[int, int]] = Counter()
        """Width and height."""
        self.unusable = 0
        """Messages that could not be taken."""
        self.first_complaint = ""

    def take(self, time_ns: int, message: Any) -> None:
        """One message. Raises SrayError if it is unusable, as far as the message alone tells."""
        stamp = message.header.stamp
        stamp_ns = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
        self._look(message)
        self._stamps.append(stamp_ns)
        self._times.append(time_ns)
        count(self.frames, str(message.header.frame_id))

    def refuse(self, error: SrayError) -> None:
        """Count a message that could not be taken."""
        self.first_complaint = self.first_complaint or str(error)
        self.unusable += 1

    def size_row(self, encoding: str) -> Row:
        """The sizes, with the encoding of all pictures."""
        sizes = ", ".join(f"{width}x{height}" for width, height in list(self.sizes)[:4])
        if len(self.sizes) > 1:
            return note(f"{self.subject}: size", f"changes: {sizes}", "the node works with the one of camera_info")
        return ok(f"{self.subject}: encoding", f"{encoding}, {sizes}")

    def _look(self, message: Any) -> None:
        """Look at the rest of the message. Raises SrayError if it is unusable."""

    @property
    def stamps(self) -> NDArray[np.int64]:
        return np.array(self._stamps, np.int64)

    @property
    def times(self) -> NDArray[np.int64]:
        """Of recording."""
        return np.array(self._times, np.int64)

    @property
    def count(self) -> int:
        return len(self._stamps)

    @property
    def size(self) -> tuple[int, int] | None:
        """The commonest."""
        return self.sizes.most_common(1)[0][0] if self.sizes else None

    @property
    def frame(self) -> str:
        """The commonest."""
        return self.frames.most_common(1)[0][0] if self.frames else ""

    def unusable_rows(self) -> list[Row]:
        if not self.unusable:
            return []
        text = f"{self.unusable} of {self.unusable + self.count} messages cannot be used, the first: "
        text += self.first_complaint
        judged = problem if self.count < ENOUGH * (self.unusable + self.count) else note
        return [judged(self.subject, text, "the node leaves them out; record again if they are many")]

    def stamp_rows(self) -> list[Row]:
        stamps = self.stamps
        subject = f"{self.subject}: stamps"
        if not len(stamps):
            return []
        zero = float(np.mean(stamps == 0))
        if zero:
            judged = problem if zero > 1 - ENOUGH else note
            remedy = "the driver does not fill header.stamp: set it when recording; without it no pose can be looked up"
            return [judged(subject, f"{percent(zero)} are zero", remedy)]
        steps = np.diff(stamps)
        back = steps[steps < 0]
        if len(back) and -back.min() > JUMP_NS:
            where = stamps[int(np.argmin(steps))] / 1e9
            text = f"go back {len(back)} times, by up to {-back.min() / 1e9:.3f} s (after {where:.3f} s)"
            remedy = "two recordings in one, or a clock set meanwhile: the map would start again; cut the bag there"
            return [problem(subject, text, remedy)]
        if len(back):
            return [note(subject, f"go back {len(back)} times, by up to {-back.min() / 1e9:.3f} s: out of order")]
        seconds = (stamps[-1] - stamps[0]) / 1e9
        rate = f", {(len(stamps) - 1) / seconds:.1f} Hz" if seconds > 0 else ""
        return [ok(subject, f"{len(stamps)} over {seconds:.1f} s{rate}")]

    def frame_rows(self) -> list[Row]:
        if not self.count:
            return []
        if not self.frame:
            remedy = "the driver does not fill header.frame_id: set it to the optical frame of the camera"
            return [problem(f"{self.subject}: frame", "frame_id is empty", remedy)]
        if len(self.frames) > 1:
            return [note(f"{self.subject}: frame", f"several: {listed(self.frames)}; judged by {self.frame}")]
        return []


def count(counter: Counter[Any], key: Any) -> None:
    if key in counter or len(counter) < KINDS_KEPT:
        counter[key] += 1


def share_within(stamps: NDArray[np.int64], others: NDArray[np.int64], slop_ns: int) -> float:
    """Of `stamps`: how many have one of `others` no further away; 0.0 without any."""
    if not len(stamps) or not len(others):
        return 0.0
    ordered = np.sort(others)
    right = np.searchsorted(ordered, stamps).clip(0, len(ordered) - 1)
    nearest = np.minimum(np.abs(ordered[right] - stamps), np.abs(ordered[(right - 1).clip(0)] - stamps))
    return float(np.mean(nearest <= slop_ns))
