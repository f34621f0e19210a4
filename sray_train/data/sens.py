"""ScanNet's `.sens` files without unpacking them: headers are read once, pictures when asked for."""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.errors import FileError
from sray.label_space import LabelSpace
from sray.pictures import claimed_size, decode
from sray.sampling import ROOM_BOUNDS
from sray.sequence import stamp_of
from sray_train.data.label_pictures import LabelPictures
from sray_train.data.recording import PictureRecording, Pictures, batch_of_cameras, meters_of, usable_poses
from sray_train.data.registration import DepthRegistration
from sray_train.data.sens_header import LARGEST_PICTURE, SensHeader, read_header, read_index

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SensRecording(PictureRecording):
    """The usable frames of a `.sens` file, in the color camera; depth is resampled into it (`DepthRegistration`).

    A frame's number counts all frames of the file, as ScanNet's exporter names them.
    """

    path: Path
    header: SensHeader
    index: NDArray[np.void]
    """One record (`_FRAME`) for each usable frame."""
    stamps: NDArray[np.int64] | None
    """Nanoseconds; None: the file's stamps are no clock (zero, repeated or random), and 30 Hz stand in for them."""
    label_space: LabelSpace
    labels: LabelPictures | None = None
    nyu40_of: NDArray[np.uint8] | None = None
    """NYU40 id of each of the 65536 ids a label picture may hold; None: they are NYU40 ids already."""

    @staticmethod
    def open(
        path: Path | str,
        label_space: LabelSpace,
        labels: LabelPictures | None = None,
        nyu40_of: NDArray[np.uint8] | None = None,
    ) -> SensRecording:
        """Read the headers of a file. Memory: 100 bytes a frame.

        Raises FileError, naming the file, if it is not version 4, cut short, in a codec that is not read
        here, or leaves no usable frame.
        """
        path = Path(path)
        try:
            with path.open("rb", buffering=0) as file:
                header = read_header(file, path)
                index = read_index(file, path, header.frames)
        except OSError as error:
            raise FileError(f"{path} cannot be read ({error})", "a .sens file", "Download it again") from error
        rig_poses = index["pose"].astype(np.float64)
        usable, skipped = usable_poses(range(len(index)), rig_poses, path)
        stamps = _clock(index["stamps"][:, 0])
        if stamps is None:
            logger.info("%s: its stamps are no clock; frames are taken to be 1/30 s apart", path)
        return SensRecording(
            path.stem,
            batch_of_cameras(header.color_intrinsics, rig_poses[usable] @ header.rig_from_color, *header.color_size),
            ROOM_BOUNDS,
            tuple(usable),
            skipped,
            path,
            header,
            index[usable],
            None if stamps is None else stamps[usable],
            label_space,
            labels,
            nyu40_of,
        )

    @property
    def has_depth(self) -> bool:
        return 0 not in self.header.depth_size

    @property
    def has_labels(self) -> bool:
        return self.labels is not None

    def source(self, position: int) -> Path:
        return self.path

    def stamp(self, position: int) -> int:
        return stamp_of(self.numbers[position]) if self.stamps is None else int(self.stamps[position])

    def pictures(self, position: int) -> Pictures:
        record = self.index[position]
        color_bytes, depth_bytes = int(record["color_bytes"]), int(record["depth_bytes"])
        with self.path.open("rb") as file:
            file.seek(int(record["at"]))
            payload = file.read(color_bytes + depth_bytes)
        if len(payload) < color_bytes + depth_bytes:
            raise FileError(
                f"{self.path} has become shorter, frame {self.numbers[position]} is cut", "the file as opened"
            )
        image = self._color(payload[:color_bytes], position)
        depth = self._depth(payload[color_bytes:], position) if self.has_depth else None
        labels = None
        if self.labels is not None:
            ids = self.labels.read(self.numbers[position])
            labels = self.label_space.from_nyu40(ids if self.nyu40_of is None else self.nyu40_of[ids])
        return Pictures(image, depth, labels)

    def _color(self, payload: bytes, position: int) -> NDArray[np.uint8]:
        width, height = self.header.color_size
        if self.header.color_codec == "raw":
            if len(payload) != width * height * 3:
                raise self._bad_frame(position, f"has {len(payload)} bytes of raw color", f"{width * height * 3}")
            raw: NDArray[np.uint8] = np.frombuffer(payload, np.uint8).reshape(height, width, 3).copy()
            return raw  # writable, as torch wants it
        found = claimed_size(payload)
        if found is not None and {*found} != {width, height}:  # before a small file becomes a huge picture
            raise self._bad_frame(position, f"is {found[0]}x{found[1]}, others {width}x{height}", "one size")
        bgr = decode(payload, lambda *size: size == (width, height), cv2.IMREAD_COLOR) if found else None
        if bgr is None:
            raise self._bad_frame(position, "has color that cannot be decoded", f"a {self.header.color_codec}")
        rgb: NDArray[np.uint8] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        return rgb

    def _depth(self, payload: bytes, position: int) -> NDArray[np.float32]:
        width, height = self.header.depth_size
        if self.header.depth_codec == "zlib":
            try:
                # Bounded: a few bytes may swell to gigabytes.
                payload = zlib.decompressobj().decompress(payload, 2 * LARGEST_PICTURE + 1)
            except zlib.error as error:
                raise self._bad_frame(position, f"has depth that cannot be inflated ({error})", "zlib") from error
        if len(payload) != width * height * 2:
            raise self._bad_frame(position, f"has {len(payload)} bytes of depth", f"{width * height * 2}")
        raw = np.frombuffer(payload, "<u2").reshape(height, width)
        return self._registration.apply(meters_of(raw.astype(np.uint16), self.path, self.header.units_per_meter))

    @cached_property
    def _registration(self) -> DepthRegistration:
        return DepthRegistration.between(
            self.header.depth_intrinsics,
            self.header.color_intrinsics,
            np.linalg.inv(self.header.rig_from_color) @ self.header.rig_from_depth,
            self.header.depth_size,
            self.header.color_size,
        )

    def _bad_frame(self, position: int, found: str, expected: str) -> Exception:
        return FileError(f"{self.path} frame {self.numbers[position]} {found}", expected, "Download the file again")


def _clock(microseconds: NDArray[np.uint64]) -> NDArray[np.int64] | None:
    """Nanoseconds, if the stamps run forwards like a camera's: 1 ms to 10 s from frame to frame."""
    if len(microseconds) and microseconds.max() >= 1 << 53:  # 285 years
        return None
    steps = np.diff(microseconds.astype(np.int64))
    sound = len(steps) > 0 and steps.min() >= 1_000 and steps.max() <= 10_000_000
    return microseconds.astype(np.int64) * 1000 if sound else None
