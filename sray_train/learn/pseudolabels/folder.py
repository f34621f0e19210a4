"""The folder that pseudo-labels go into: links to a recording, new label pictures, and a record of whose they are."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.errors import FileError, InternalError
from sray.files import write_atomically
from sray.label_space import LabelSpace
from sray.segmentation import Segmenter
from sray.segmentation.segmenter import Segmentation
from sray.sequence import Sequence
from sray_train.records import write_record

REST = ("color", "depth", "pose", "intrinsic", "intrinsics_color.txt")
"""What is the recording's own: folders, and the file that ScanNet's 25k frames have instead of intrinsic/."""
RECORD = "pseudolabels.json"


def confidence_file(folder: Path, number: int) -> Path:
    """How sure the model was of each label of a picture: 8 bits, 255 is certain."""
    return folder / "confidence" / f"{number}.png"


@dataclass(frozen=True)
class PseudoLabelFolder:
    """A folder in ScanNet's layout whose labels a model made."""

    path: Path
    recording: Sequence

    @property
    def record_file(self) -> Path:
        return self.path / RECORD

    def label_file(self, number: int) -> Path:
        return self.path / "label-filt" / f"{number}.png"

    def settings(self, segmenter: Segmenter) -> dict[str, Any]:
        """All that the labels depend on."""
        mapping = segmenter.mapping
        return {
            "sequence": str(self.recording.folder.resolve()),
            "model": segmenter.pretrained.name,
            "model_sha256": segmenter.pretrained.sha256,
            "mapping": mapping.path.name,
            "meaning": {name: mapping.label_space.names[index] for name, index in sorted(mapping.meaning.items())},
            "label_space": mapping.label_space.name,
            "threshold": segmenter.threshold,
        }

    def prepare(self, segmenter: Segmenter, *, copy: bool = False) -> None:
        """Make the folder, or go on with it if an earlier run with the same settings began it.

        Raises FileError if something else is there: labels are never overwritten.
        """
        settings = self.settings(segmenter)
        if self.path.exists() and any(self.path.iterdir()):
            self._check_ours(settings)
        else:
            write_record(self.record_file, settings)
        for name in REST:
            source, place = self.recording.folder / name, self.path / name
            if place.exists() or not source.exists():
                continue
            if copy:
                unfinished = self.path / f".{name}"
                shutil.rmtree(unfinished, ignore_errors=True)
                (shutil.copytree if source.is_dir() else shutil.copyfile)(source, unfinished)
                unfinished.rename(place)
            else:
                place.symlink_to(source.resolve(), target_is_directory=source.is_dir())

    def _check_ours(self, settings: dict[str, Any]) -> None:
        try:
            before = json.loads(self.record_file.read_text())
        except (OSError, ValueError) as error:
            raise FileError(
                f"{self.path} exists and is no folder of pseudo-labels",
                "a free name, or one that an earlier run began",
                "Give another --output: labels are never overwritten",
            ) from error
        if not isinstance(before, dict):
            before = {}
        changed = [name for name, value in settings.items() if before.get(name) != value]
        if changed:
            name = changed[0]
            was = "" if name == "meaning" else f" ({before.get(name, 'unknown')}, now {settings[name]})"
            raise FileError(
                f"{self.path} holds labels made with another {name}{was}",
                "the same",
                "Give another --output: labels are never overwritten",
            )

    def read(self, number: int, label_space: LabelSpace) -> NDArray[np.uint8] | None:
        """The labels of a picture if they are there and whole."""
        path = self.label_file(number)
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        return None if ids is None else label_space.from_nyu40(ids)

    def write(self, number: int, found: Segmentation, label_space: LabelSpace) -> None:
        """NYU40 ids, 0 where unsure, and the confidence. Raises FileError."""
        # The labels last: where they are, both are.
        _write_png(confidence_file(self.path, number), (255 * found.confidence).round().astype(np.uint8))
        _write_png(self.label_file(number), label_space.to_nyu40(found.labels).astype(np.uint8))


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    done, content = cv2.imencode(".png", picture)
    if not done:
        raise InternalError(f"{path} could not be encoded as PNG")
    write_atomically(path, content.tobytes())
