"""`sray data check`: what is wrong with a recording, before hours are spent on it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.progress import Progress, TaskID

from sray.errors import SrayError
from sray.label_space import LABEL_SPACES
from sray_train.data.config import LabelIds
from sray_train.records import refuse_existing, write_record
from sray_train.tools.data_check.check import CheckResult, check_recording
from sray_train.tools.data_check.folder_checks import unopened
from sray_train.tools.data_check.opening import Layout, open_recordings
from sray_train.tools.data_check.terminal import show


@dataclass
class Data:
    """Check a recording: poses, intrinsics, depth, labels, pictures, files. Exit status 1 if it is not fit to use."""

    action: tyro.conf.Positional[Literal["check"]]
    """What to do."""
    folder: tyro.conf.Positional[Path]
    """The folder of one scene, or its .sens file."""
    dataset: Layout = "auto"
    """The layout; `auto` goes by the files in it. `folder`: ScanNet's exported layout, as the node records."""
    label_space: str = "indoor"
    """What the classes mean: a name in sray.label_space.LABEL_SPACES."""
    label_ids: LabelIds = "auto"
    """What label files of ScanNet's layout hold."""
    frames: int = 32
    """Frames looked at, evenly spread; their neighbors are matched with them."""
    report: Path = Path("results/data_check")
    """Folder for the page with pictures, NAME.html; a former report of this command is replaced."""
    json: Path | None = None
    """Also write a record for machines. An existing file is kept unless --overwrite."""
    overwrite: bool = False
    """Replace an existing record."""

    def __post_init__(self) -> None:
        if self.label_space not in LABEL_SPACES:
            raise ValueError(f"label space {self.label_space!r}; expected one of {', '.join(LABEL_SPACES)}")
        if self.frames < 4:
            raise ValueError(f"frames is {self.frames}; expected at least 4")

    def main(self) -> None:
        if self.json is not None:
            refuse_existing(self.json, "--json", overwrite=self.overwrite)
        from sray_train.tools.data_check.page import write_page  # matplotlib takes a second to load

        console = Console()
        results = self._results()
        for result in results:
            show(result, console)
            page = self.report / f"{result.name.replace('/', '_')}.html"
            write_page(result, page)
            console.print(f"see {page}", highlight=False, soft_wrap=True)
        if self.json is not None:
            fine = not any(result.problems for result in results)
            write_record(self.json, {"fine": fine, "recordings": [result.record() for result in results]})
        if any(result.problems for result in results):
            sys.exit(1)

    def _results(self) -> list[CheckResult]:
        space = LABEL_SPACES[self.label_space]
        try:
            opened = open_recordings(self.folder, self.dataset, self.label_space, self.label_ids)
        except SrayError as error:
            if not self.folder.expanduser().exists():  # a slip of the pen is no finding
                raise
            return [CheckResult(self.folder.absolute().name, space, [unopened(self.folder, error)], {}, {})]
        with Progress(transient=True) as progress:
            return [
                check_recording(recording, space, self.frames, findings, _Bars(progress, recording.name))
                for recording, findings in opened
            ]


class _Bars:
    """A progress bar for each thing that a check does."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, of: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(f"{self._name}: {what}", total=of)
        self._progress.update(self._tasks[what], completed=done, total=of)
