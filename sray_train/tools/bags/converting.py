"""The frames of a recording that become a bag. Damaged ones are left out and counted; no stamp is zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sray.errors import FileError, SrayError
from sray.frames import Frame
from sray.label_space import LABEL_SPACES
from sray_train.data.config import LabelIds
from sray_train.data.scannet import open_scannet
from sray_train.data.scene import Recording
from sray_train.tools.data_check.opening import LABELS_REFUSED, Layout, open_recordings

EARLIEST_NS = 1_000_000_000
"""Zero means "no stamp" in ROS, and "the latest pose" in TF; what starts earlier is moved here."""


def open_scene(path: Path, dataset: Layout, label_space: str, label_ids: LabelIds) -> Recording:
    """One scene with poses. Raises FileError, naming the path, for what is no single scene.

    Frames whose pose cannot be read are left out; labels are refused if it is not known which ids they hold.
    """
    path = path.expanduser()
    if dataset in ("auto", "scannet") and (path.suffix == ".sens" or next(path.glob("*.sens"), None) is not None):
        return open_scannet(path, LABEL_SPACES[label_space], label_ids)
    found = open_recordings(path, dataset, label_space, label_ids)
    if len(found) != 1:
        names = ", ".join(recording.name for recording, _ in found)
        raise FileError(f"{path} holds {len(found)} recordings ({names})", "one", "Name its own folder")
    recording, findings = found[0]
    for finding in findings:
        if finding.code == LABELS_REFUSED:  # labels that mean something else would be written without a word
            raise FileError(finding.evidence)
    return recording


@dataclass
class ChosenFrames:
    """Every `stride`-th frame, `most` at most (0: all), read one by one; iterable once."""

    recording: Recording
    stride: int = 1
    most: int = 0
    on_progress: Callable[[int, int], None] | None = None
    """Told how many frames were looked at, and of how many."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Reason -> frames, while iterating and after it."""
    first_complaint: str = ""
    """About the first frame that could not be read."""

    def __post_init__(self) -> None:
        for reason, numbers in self.recording.skipped.items():
            self.left_out[reason] = len(numbers)

    def __iter__(self) -> Iterator[Frame]:
        positions = range(0, len(self.recording), self.stride)
        positions = positions[: self.most or len(positions)]
        shift: int | None = None
        last = 0
        for done, position in enumerate(positions):
            if self.on_progress is not None:
                self.on_progress(done, len(positions))
            try:
                frame = self.recording[position]
            except SrayError as error:
                self._leave_out("cannot be read", str(error))
                continue
            if shift is None:
                shift = max(0, EARLIEST_NS - frame.stamp_ns)
            frame = replace(frame, stamp_ns=frame.stamp_ns + shift)
            if frame.stamp_ns <= last:
                self._leave_out("stamp goes back", f"{frame.name} is at {frame.stamp_ns} ns, the one before at {last}")
                continue
            last = frame.stamp_ns
            yield frame
        if self.on_progress is not None:
            self.on_progress(len(positions), len(positions))

    def _leave_out(self, reason: str, complaint: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1
        self.first_complaint = self.first_complaint or complaint
