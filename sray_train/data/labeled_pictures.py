"""Single labeled pictures: a folder of color and one of label ids, without poses, such as NYU Depth v2's.

colour/N.jpg (or color/, N.png)   label40/N.png (or label/, label-filt/), ids as for recordings, 0 unlabeled
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sray.camera import Camera
from sray.errors import FileError
from sray.frames import Frame, nearest_exact
from sray.label_space import LabelSpace
from sray_train.data.config import LabelIds
from sray_train.data.label_pictures import LabelPictures
from sray_train.data.recording import read_picture
from sray_train.data.scannet import nyu40_table

COLOR_FOLDERS = ("colour", "color")
LABEL_FOLDERS = ("label40", "label", "label-filt")
COLOR_FILES = (".jpg", ".jpeg", ".png")
KEPT_OUT = 10
"""Every so-many-th picture, from the first, does not teach and is scored on."""
FX_OVER_WIDTH = 0.81
"""Focal length over picture width of the Kinect that took NYU Depth v2: 519 px of 640."""


@dataclass(frozen=True)
class LabeledPictures:
    """The pictures that have labels, in the order of their numbers. Indexing reads one."""

    folder: Path
    label_space: LabelSpace
    colors: dict[int, Path]
    """Number -> color picture."""
    labels: LabelPictures
    nyu40_of: NDArray[np.uint8] | None = None
    """What turns ids as stored into NYU40 ids; None: they are NYU40 ids."""
    fx_over_width: float = FX_OVER_WIDTH
    """Of the camera that took them: a checkpoint reads pictures at a certain number of pixels per radian."""

    @staticmethod
    def open(
        folder: Path | str, label_space: LabelSpace, label_ids: LabelIds = "auto", fx_over_width: float = FX_OVER_WIDTH
    ) -> LabeledPictures:
        """`label_ids` as of recordings (`sray_train.data.scannet`).

        Raises FileError if a folder is missing, or no picture has labels.
        """
        folder = Path(folder)
        color = _first_of(folder, COLOR_FOLDERS, "color pictures")
        labels = LabelPictures.of(_first_of(folder, LABEL_FOLDERS, "label pictures"))
        colors = {
            int(path.stem): path
            for path in sorted(color.iterdir())
            if path.suffix.lower() in COLOR_FILES and path.stem.isdigit()
        }
        both = {number: colors[number] for number in sorted(colors) if number in labels.members}
        if not both:
            raise FileError(
                f"{color} holds {len(colors)} pictures N.jpg, of which none has labels in {labels.path}",
                "the same number N in both folders",
            )
        return LabeledPictures(folder, label_space, both, labels, nyu40_table(folder, labels, label_ids), fx_over_width)

    @property
    def numbers(self) -> list[int]:
        return list(self.colors)

    def kept_out(self) -> LabeledPictures:
        """Every tenth: those that taught nothing where a training was given this folder."""
        return replace(self, colors={number: self.colors[number] for number in self.numbers[::KEPT_OUT]})

    def __len__(self) -> int:
        return len(self.colors)

    def __getitem__(self, position: int) -> Frame:
        """The picture at its own size, with the pose of nobody: the identity.

        Raises FileError, naming the file, if the picture or its labels cannot be read.
        """
        number = self.numbers[position]
        image = cv2.cvtColor(read_picture(self.colors[number], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        ids = self.labels.read(number)
        indices = self.label_space.from_nyu40(ids if self.nyu40_of is None else self.nyu40_of[ids])
        focal = self.fx_over_width * width
        intrinsics = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        return Frame(
            torch.from_numpy(np.ascontiguousarray(image)),
            Camera(intrinsics, torch.eye(4), width, height),
            labels=torch.from_numpy(nearest_exact(indices, width, height)),
            name=f"{self.folder.name}/{number}",
        )


def _first_of(folder: Path, names: tuple[str, ...], what: str) -> Path:
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    there = ", ".join(sorted(child.name for child in folder.iterdir())[:8]) if folder.is_dir() else "no folder"
    raise FileError(f"{folder} has no {what} (there is {there or 'nothing'})", f"a folder {' or '.join(names)} in it")
