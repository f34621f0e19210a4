"""Realistic Synthetic 360: objects rendered by Blender, `transforms_{train,val,test}.json`, RGBA pictures, no labels.

Lengths are Blender's units: the objects fit between 2 and 6 from each camera. Scenes of other exporters in the same
layout may give more of a camera than its angle (`sray_train.data.transforms`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sray_train.data.picture_files import FileRecording
from sray_train.data.transforms import read_transforms

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
BOUNDS = (2.0, 6.0)


def open_blender(folder: Path | str, part: Part = "train") -> FileRecording:
    """The views of one part of a scene; what is transparent is white.

    Raises FileError, naming the file and the field, if they are missing or are not what they should be.
    """
    folder = Path(folder)
    path = folder / f"transforms_{part}.json"
    _, photographs, skipped = read_transforms(path)
    name = folder.name if part == "train" else f"{folder.name}/{part}"
    return FileRecording.of(name, photographs, skipped, path, bounds=BOUNDS)
