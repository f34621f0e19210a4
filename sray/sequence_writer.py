"""Frames written into a folder in the layout that `sray.sequence` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sray.camera import Camera
from sray.errors import FileError
from sray.frames import Frame
from sray.label_space import ROOMS, LabelSpace


class SequenceWriter:
    """Writes frames into a folder; the first frame's camera gives the intrinsics."""

    def __init__(self, folder: Path | str, label_space: LabelSpace = ROOMS) -> None:
        self._folder = Path(folder)
        self._label_space = label_space
        self._intrinsics: torch.Tensor | None = None

    def add(self, number: int, frame: Frame) -> None:
        """Write one frame as file number `number`. Raises ValueError if its intrinsics differ from the first's."""
        if self._intrinsics is None:
            self._write_intrinsics(frame.camera)
        elif not torch.allclose(self._intrinsics, frame.camera.intrinsics):
            raise ValueError(f"frame {number} has other intrinsics than the first; one folder holds one camera")
        _write_image(
            self._folder / "color" / f"{number}.jpg",
            cv2.cvtColor(frame.image.numpy(), cv2.COLOR_RGB2BGR),
            [cv2.IMWRITE_JPEG_QUALITY, 95],
        )
        _write_matrix(self._folder / "pose" / f"{number}.txt", frame.camera.world_pose)
        if frame.depth is not None:
            millimeters = np.nan_to_num(frame.depth.numpy() * 1000, nan=0).round().clip(0, 65535)
            _write_image(self._folder / "depth" / f"{number}.png", millimeters.astype(np.uint16))
        if frame.labels is not None:
            ids = self._label_space.to_nyu40(frame.labels.numpy())
            _write_image(self._folder / "label-filt" / f"{number}.png", ids.astype(np.uint8))

    def _write_intrinsics(self, camera: Camera) -> None:
        matrix = np.eye(4)
        matrix[:3, :3] = camera.intrinsics.double().numpy()
        for name in ("intrinsic_color.txt", "intrinsic_depth.txt"):
            _write_matrix(self._folder / "intrinsic" / name, matrix)
        self._intrinsics = camera.intrinsics


def _write_image(path: Path, image: NDArray[Any], options: list[int] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image, options or []):
        raise FileError(f"{path} could not be written", "a writable folder with free space")


def _write_matrix(path: Path, matrix: NDArray[np.float64]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, matrix, fmt="%.12g")  # of a position 4000 km away: micrometers
