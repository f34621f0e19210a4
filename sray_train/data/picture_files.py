"""Recordings whose pictures are files of their own, with a calibrated camera each: undistorted, at one size."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.calibration import Calibration, said_by
from sray.errors import FileError
from sray.frames import at_size_of_image
from sray.rectification import Rectifier
from sray.sampling import ROOM_BOUNDS, Bounds
from sray_train.data.recording import PictureRecording, Pictures, batch_of_cameras, meters_of, read_picture

logger = logging.getLogger(__name__)

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Photograph:
    """What a dataset says of one frame, before any picture is read."""

    number: int
    file: Path
    calibration: Calibration
    """Of the size that the dataset gives, or of the picture's own where it gives none."""
    world_from_camera: Matrix
    """(4, 4), OpenCV axes."""
    depth: Path | None = None
    stamp_ns: int | None = None


@dataclass(frozen=True)
class FileRecording(PictureRecording):
    """Frames of one picture size. Transparent pictures lie on white; depth is camera z."""

    photographs: tuple[Photograph, ...]
    depth_per_meter: float = 1000.0
    _rectifier: Rectifier = field(default_factory=Rectifier, repr=False, compare=False)

    @staticmethod
    def of(
        name: str,
        photographs: Sequence[Photograph],
        skipped: dict[str, list[int]],
        path: Path,
        *,
        bounds: Bounds = ROOM_BOUNDS,
        depth_per_meter: float = 1000.0,
    ) -> FileRecording:
        """Of usable frames, at least one. Frames of another size than most are skipped and counted.

        Reads one picture. Raises FileError, naming `path`, if K cannot be of the pictures.
        """
        sizes = Counter((each.calibration.width, each.calibration.height) for each in photographs)
        commonest = sizes.most_common(1)[0][0]
        kept = [each for each in photographs if (each.calibration.width, each.calibration.height) == commonest]
        others = sorted({each.number for each in photographs} - {each.number for each in kept})
        if others:
            skipped = {**skipped, f"a picture of another size than {commonest[0]}x{commonest[1]}": others}
        first = kept[0].calibration
        height, width = read_picture(kept[0].file, cv2.IMREAD_COLOR, first.fits).shape[:2]
        if (width, height) != commonest:
            with said_by(str(path), FileError):
                first.of_pictures(width, height)
            logger.warning("%s: K is of %dx%d pixels, the pictures have %dx%d: scaled", path, *commonest, width, height)
            scaled = {id(each.calibration): each.calibration.resized(width, height) for each in kept}
            kept = [replace(each, calibration=scaled[id(each.calibration)]) for each in kept]
        cameras = batch_of_cameras(
            np.stack([each.calibration.intrinsics for each in kept]),
            np.stack([each.world_from_camera for each in kept]),
            width,
            height,
        )
        numbers = tuple(each.number for each in kept)
        return FileRecording(name, cameras, bounds, numbers, skipped, tuple(kept), depth_per_meter)

    @property
    def has_depth(self) -> bool:
        return any(each.depth is not None for each in self.photographs)

    def source(self, position: int) -> Path:
        return self.photographs[position].file

    def stamp(self, position: int) -> int:
        known = self.photographs[position].stamp_ns
        return super().stamp(position) if known is None else known

    def pictures(self, position: int) -> Pictures:
        photograph = self.photographs[position]
        calibration = photograph.calibration
        image = _on_white(read_picture(photograph.file, cv2.IMREAD_UNCHANGED), photograph.file)
        if image.shape[:2] != (calibration.height, calibration.width):  # turned by its EXIF tag, or of another size
            turned = read_picture(photograph.file, cv2.IMREAD_COLOR, calibration.fits)
            image = cv2.cvtColor(turned, cv2.COLOR_BGR2RGB)
        if image.shape[:2] != (calibration.height, calibration.width):
            return Pictures(image)  # the caller checks: pictures of one size
        depth = None
        if photograph.depth is not None:
            raw = read_picture(photograph.depth, cv2.IMREAD_UNCHANGED)
            meters = meters_of(raw, photograph.depth, self.depth_per_meter)
            size = calibration.width, calibration.height
            depth = self._rectifier.depth(calibration, at_size_of_image(meters, *size, "depth", photograph.depth))
        return Pictures(self._rectifier.picture(calibration, image), depth)


def _on_white(stored: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """RGB of a BGR or BGRA picture of 8 bits."""
    if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[2] not in (3, 4):
        found = f"holds {stored.dtype} of shape {stored.shape}"
        raise FileError(f"{path} {found}", "8-bit color, with or without alpha", "Get the scene again")
    image: NDArray[np.uint8] = np.ascontiguousarray(stored[..., 2::-1])
    if stored.shape[2] == 4:
        opacity = stored[..., 3:].astype(np.float32) / 255
        image = (image * opacity + 255 * (1 - opacity)).round().astype(np.uint8)
    return image
