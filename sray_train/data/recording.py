"""Shared by the dataset readers: a recording of pictures whose cameras are all known, and the reading of files."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sray.camera import Camera
from sray.errors import FileError
from sray.frames import Frame, at_size_of_image
from sray.pictures import Fits, decode_file
from sray.sequence import is_rigid, stamp_of


@dataclass(frozen=True)
class Pictures:
    """What a reader finds of one frame."""

    image: NDArray[np.uint8]
    """(height, width, 3) RGB."""
    depth: NDArray[np.float32] | None = None
    """(height, width) camera z in meters, NaN where there is none."""
    labels: NDArray[np.uint8] | None = None
    """Indices of the label space; of another size than the image: resized to it, nearest-exact."""


@dataclass(frozen=True)
class PictureRecording(ABC):
    """A `Recording` (sray_train.data.scene) but for reading its pictures. Indexing gives one frame, as recorded."""

    name: str
    cameras: Camera
    """One batch, at the recorded size."""
    bounds: tuple[float, float]
    """Near and far, camera z in meters, or in the dataset's own unit."""
    numbers: tuple[int, ...]
    """The frames' numbers in the dataset."""
    skipped: dict[str, list[int]]
    """Reason -> numbers of the frames left out."""

    @abstractmethod
    def pictures(self, position: int) -> Pictures:
        """Read one frame. Raises FileError, naming the file, if it cannot be read."""

    @abstractmethod
    def source(self, position: int) -> Path:
        """The file a frame's color comes from, for messages."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return self.cameras.width, self.cameras.height

    def stamp(self, position: int) -> int:
        """Nanoseconds. Of datasets without clocks: 30 Hz, by the frame's number."""
        return stamp_of(self.numbers[position])

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, position: int) -> Frame:
        """Raises FileError, naming the file, if it cannot be read or has another size than the others."""
        read = self.pictures(position)
        height, width = read.image.shape[:2]
        if (width, height) != self.size:
            found = f"is {width}x{height}, others {self.size[0]}x{self.size[1]}"
            raise FileError(f"{self.source(position)} {found}", "pictures of one size", "Get the scene again")
        return Frame(
            torch.from_numpy(np.ascontiguousarray(read.image)),
            self.cameras[position],
            self._beside(read.depth, "depth", position),
            self._beside(read.labels, "labels", position),
            self.stamp(position),
            f"{self.name}/{self.numbers[position]}",
        )

    def _beside(self, picture: NDArray[Any] | None, what: str, position: int) -> torch.Tensor | None:
        """Depth or labels at the image's size."""
        if picture is None:
            return None
        return torch.from_numpy(at_size_of_image(picture, *self.size, what, self.source(position)))


def batch_of_cameras(intrinsics: NDArray[np.float64], poses: NDArray[np.float64], width: int, height: int, /) -> Camera:
    """One batch from K (3, 3), or one a frame (frames, 3, 3), and world_from_camera (frames, 4, 4), OpenCV axes."""
    matrices = torch.from_numpy(np.array(np.broadcast_to(intrinsics, (len(poses), 3, 3)))).float()
    return Camera.at(poses, matrices, width, height)


def usable_poses(
    numbers: Sequence[int], poses: NDArray[np.float64], path: Path | str
) -> tuple[list[int], dict[str, list[int]]]:
    """Positions of the poses that are rotation and translation, and reason -> numbers of the others.

    Raises FileError, naming `path`, if none is.
    """
    usable: list[int] = []
    skipped: dict[str, list[int]] = {}
    for position, (number, pose) in enumerate(zip(numbers, poses, strict=True)):
        if not np.isfinite(pose).all():
            skipped.setdefault("pose is not finite", []).append(number)
        elif not is_rigid(pose):
            skipped.setdefault("pose is no rotation and translation", []).append(number)
        else:
            usable.append(position)
    if not usable:
        reasons = ", ".join(f"{len(found)} frames: {reason}" for reason, found in skipped.items()) or "it holds none"
        raise FileError(f"{path} leaves no usable frame ({reasons})", "camera poses", "Get the scene again")
    return usable, skipped


def read_picture(path: Path, flags: int, fits: Fits | None = None) -> NDArray[Any]:
    """Decode a picture file as cv2 does, but for its EXIF tag (`sray.pictures.decode`): poses are of pixels as stored.

    `fits`: which sizes the calibration can be of. Raises FileError if it is missing or damaged.
    """
    image = decode_file(path, fits, flags)
    if image is None:
        state = "cannot be decoded" if path.is_file() else "is missing"
        raise FileError(f"{path} {state}", "a readable picture", "Get the scene again")
    return image


def read_rows(path: Path, expected: str, remedy: str = "Get it again") -> NDArray[np.float64]:
    """Numbers (rows, columns) of a text file, a row a line.

    Raises FileError, naming the file, if it is missing, empty or holds anything else; `expected`: what it should hold.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an empty file is only a warning to numpy
            return np.loadtxt(path, np.float64, ndmin=2)
    except (OSError, ValueError, UserWarning) as error:
        raise FileError(f"{path} cannot be read ({error})", expected, remedy) from error


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height. Raises FileError if the picture cannot be read."""
    height, width = read_picture(path, cv2.IMREAD_COLOR).shape[:2]
    return width, height


def meters_of(raw: NDArray[Any], path: Path | str, per_meter: float = 1000) -> NDArray[np.float32]:
    """Depth in meters, NaN where there is none, of a picture of integers.

    Raises FileError, naming `path`, if it is not one channel of uint16.
    """
    if raw.ndim != 2 or raw.dtype != np.uint16:
        raise FileError(
            f"{path} holds {raw.dtype} of shape {raw.shape}", "depth, one channel of uint16", "Get it again"
        )
    meters: NDArray[np.float32] = raw.astype(np.float32) / np.float32(per_meter)
    meters[raw == 0] = np.nan
    return meters
