"""ScanNet's `.sens` files (version 4) without unpacking them: headers are read once, pictures when asked for.

Little-endian: u32 version; u64 length and sensor name; four 4x4 f32, row by row: colour K, colour extrinsic, depth K,
depth extrinsic (each extrinsic from its camera to the rig); i32 colour codec; i32 depth codec; u32 colour width,
height; u32 depth width, height; f32 depth units a metre; u64 frames. A frame: 16 f32 world from rig, u64 colour stamp,
u64 depth stamp (microseconds), u64 colour bytes, u64 depth bytes, then both. Motion sensor readings may follow.
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.calibration import why_implausible
from sray.errors import FileError
from sray.label_space import LabelSpace
from sray.pictures import claimed_size, decode
from sray.sampling import ROOM_BOUNDS
from sray.sequence import is_rigid, stamp_of
from sray_train.data.label_pictures import LabelPictures
from sray_train.data.recording import (
    PictureRecording,
    Pictures,
    batch_of_cameras,
    metres_of,
    usable_poses,
)
from sray_train.data.registration import DepthRegistration

logger = logging.getLogger(__name__)

VERSION = 4
COLOUR_CODECS = {0: "raw", 1: "png", 2: "jpeg"}
DEPTH_CODECS = {0: "raw", 1: "zlib", 2: "occi"}
LARGEST_SIDE = 1 << 14
"""Pixels; beyond it a header is damaged, not a picture large."""
LARGEST_PICTURE = 1 << 24
"""Pixels in all: depth's way into the colour camera takes a hundred bytes for each."""
FARTHEST = 1e6
"""Metres, or pixels, in a header's matrices; beyond it their products leave single precision."""
_MATRICES = struct.Struct("<64f")
_FORMAT = struct.Struct("<ii4IfQ")
_FRAME = np.dtype(
    [("pose", "<f4", (4, 4)), ("stamps", "<u8", 2), ("colour_bytes", "<u8"), ("depth_bytes", "<u8"), ("at", "<u8")]
)
_FRAME_HEADER = _FRAME.itemsize - 8
"""Bytes a frame has in the file before its pictures; `at`, where those begin, is ours."""


@dataclass(frozen=True)
class SensHeader:
    """What a `.sens` file says before its frames."""

    sensor: str
    colour_intrinsics: NDArray[np.float64]
    """K (3, 3)."""
    depth_intrinsics: NDArray[np.float64]
    rig_from_colour: NDArray[np.float64]
    """(4, 4); the identity in ScanNet, as `rig_from_depth`."""
    rig_from_depth: NDArray[np.float64]
    colour_codec: str
    depth_codec: str
    colour_size: tuple[int, int]
    """Width and height; 0 x 0: none."""
    depth_size: tuple[int, int]
    units_per_metre: float
    frames: int


@dataclass(frozen=True)
class SensRecording(PictureRecording):
    """The usable frames of a `.sens` file, in the colour camera; depth is resampled into it (`DepthRegistration`).

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
                header = _read_header(file, path)
                index = _read_index(file, path, header.frames)
        except OSError as error:
            raise FileError(f"{path} cannot be read ({error})", "a .sens file", "Download it again") from error
        rig_poses = index["pose"].astype(np.float64)
        usable, skipped = usable_poses(range(len(index)), rig_poses, path)
        stamps = _clock(index["stamps"][:, 0])
        if stamps is None:
            logger.info("%s: its stamps are no clock; frames are taken to be 1/30 s apart", path)
        return SensRecording(
            path.stem,
            batch_of_cameras(header.colour_intrinsics, rig_poses[usable] @ header.rig_from_colour, *header.colour_size),
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
        colour_bytes, depth_bytes = int(record["colour_bytes"]), int(record["depth_bytes"])
        with self.path.open("rb") as file:
            file.seek(int(record["at"]))
            payload = file.read(colour_bytes + depth_bytes)
        if len(payload) < colour_bytes + depth_bytes:
            raise FileError(
                f"{self.path} has become shorter, frame {self.numbers[position]} is cut", "the file as opened"
            )
        image = self._colour(payload[:colour_bytes], position)
        depth = self._depth(payload[colour_bytes:], position) if self.has_depth else None
        labels = None
        if self.labels is not None:
            ids = self.labels.read(self.numbers[position])
            labels = self.label_space.from_nyu40(ids if self.nyu40_of is None else self.nyu40_of[ids])
        return Pictures(image, depth, labels)

    def _colour(self, payload: bytes, position: int) -> NDArray[np.uint8]:
        width, height = self.header.colour_size
        if self.header.colour_codec == "raw":
            if len(payload) != width * height * 3:
                raise self._bad_frame(position, f"has {len(payload)} bytes of raw colour", f"{width * height * 3}")
            raw: NDArray[np.uint8] = np.frombuffer(payload, np.uint8).reshape(height, width, 3).copy()
            return raw  # writable, as torch wants it
        found = claimed_size(payload)
        if found is not None and {*found} != {width, height}:  # before a small file becomes a huge picture
            raise self._bad_frame(position, f"is {found[0]}x{found[1]}, others {width}x{height}", "one size")
        bgr = decode(payload, lambda *size: size == (width, height), cv2.IMREAD_COLOR) if found else None
        if bgr is None:
            raise self._bad_frame(position, "has colour that cannot be decoded", f"a {self.header.colour_codec}")
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
        return self._registration.apply(metres_of(raw.astype(np.uint16), self.path, self.header.units_per_metre))

    @cached_property
    def _registration(self) -> DepthRegistration:
        return DepthRegistration.between(
            self.header.depth_intrinsics,
            self.header.colour_intrinsics,
            np.linalg.inv(self.header.rig_from_colour) @ self.header.rig_from_depth,
            self.header.depth_size,
            self.header.colour_size,
        )

    def _bad_frame(self, position: int, found: str, expected: str) -> Exception:
        return FileError(f"{self.path} frame {self.numbers[position]} {found}", expected, "Download the file again")


def _read_header(file: BinaryIO, path: Path) -> SensHeader:
    (version,) = struct.unpack("<I", _read(file, 4, path))
    if version != VERSION:
        raise FileError(f"{path} is version {version} or no .sens file", f"version {VERSION}, as ScanNet v2 ships it")
    (length,) = struct.unpack("<Q", _read(file, 8, path))
    if length > 4096:
        raise FileError(
            f"{path} has a sensor name of {length} bytes", "a sound .sens header", "Download the file again"
        )
    sensor = _read(file, length, path).decode("utf-8", "replace")
    matrices = np.array(_MATRICES.unpack(_read(file, _MATRICES.size, path)), np.float64).reshape(4, 4, 4)
    colour_codec, depth_codec, *sizes, units, frames = _FORMAT.unpack(_read(file, _FORMAT.size, path))
    colour, depth = (sizes[0], sizes[1]), (sizes[2], sizes[3])
    has_depth = 0 not in depth
    for what, number, codecs in (("colour", colour_codec, COLOUR_CODECS), ("depth", depth_codec, DEPTH_CODECS)):
        name = codecs.get(number, f"number {number}")
        # Depth by Structure's own occipital codec needs its closed library.
        if (name not in codecs.values() or name == "occi") and (what == "colour" or has_depth):
            known = ", ".join(codec for codec in codecs.values() if codec != "occi")
            remedy = "export the scene with ScanNet's SensReader and read the folder"
            raise FileError(f"{path} holds {what} in codec {name}", f"one of {known}", remedy)
    if 0 in colour or max(sizes) > LARGEST_SIDE or max(np.prod(colour), np.prod(depth)) > LARGEST_PICTURE:
        raise FileError(
            f"{path} has pictures of {colour} and depth of {depth} pixels", "sound sizes", "Download it again"
        )
    if has_depth and not (np.isfinite(units) and units > 0):
        raise FileError(
            f"{path} has {units} depth units a metre", "a number above 0, such as 1000", "Download it again"
        )
    for what, matrix, size, needed in (("colour", matrices[0], colour, True), ("depth", matrices[2], depth, has_depth)):
        if needed and not _is_calibration(matrix):
            raise FileError(f"{path} has no {what} calibration", "focal lengths above 0", "Download the file again")
        if needed and (why := why_implausible(matrix[:3, :3], *size)):
            raise FileError(f"{path} has a {what} {why.found}", why.expected, why.remedy)
    return SensHeader(
        sensor,
        matrices[0, :3, :3],
        matrices[2, :3, :3],
        _rigid_or_identity(matrices[1]),
        _rigid_or_identity(matrices[3]),
        COLOUR_CODECS[colour_codec],
        DEPTH_CODECS.get(depth_codec, "none"),
        colour,
        depth,
        units,
        frames,
    )


def _rigid_or_identity(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Some recorders leave extrinsics empty; they mean one and the same camera."""
    return matrix if is_rigid(matrix) and np.abs(matrix).max() < FARTHEST else np.eye(4)


def _is_calibration(matrix: NDArray[np.float64]) -> bool:
    if not np.isfinite(matrix).all() or (matrix[2, :3] != (0, 0, 1)).any() or matrix[1, 0] != 0:
        return False
    return bool(min(matrix[0, 0], matrix[1, 1]) > 0 and np.abs(matrix).max() < FARTHEST)


def _read_index(file: BinaryIO, path: Path, frames: int) -> NDArray[np.void]:
    end = os.fstat(file.fileno()).st_size
    at = file.tell()
    if frames * _FRAME_HEADER > end - at:  # before believing a damaged count
        raise _cut(path, end, f"a file of {frames} frames")
    index = np.zeros(frames, _FRAME)
    for number in range(frames):
        header = os.pread(file.fileno(), _FRAME_HEADER, at)
        if len(header) < _FRAME_HEADER:
            raise _cut(path, end, f"{frames} frames, found {number}")
        at += _FRAME_HEADER
        index[number] = np.frombuffer(header + struct.pack("<Q", at), _FRAME)[0]
        at += int(index[number]["colour_bytes"]) + int(index[number]["depth_bytes"])
        if at > end:
            raise _cut(path, end, f"{frames} frames, found {number} whole ones")
    return index


def _read(file: BinaryIO, count: int, path: Path) -> bytes:
    found = file.read(count)
    if len(found) < count:
        raise _cut(path, file.tell(), "a header of 300 bytes or more")
    return found


def _cut(path: Path, end: int, expected: str) -> Exception:
    return FileError(f"{path} is cut short at {end} bytes", expected, "Download the file again")


def _clock(microseconds: NDArray[np.uint64]) -> NDArray[np.int64] | None:
    """Nanoseconds, if the stamps run forwards like a camera's: 1 ms to 10 s from frame to frame."""
    if len(microseconds) and microseconds.max() >= 1 << 53:  # 285 years
        return None
    steps = np.diff(microseconds.astype(np.int64))
    sound = len(steps) > 0 and steps.min() >= 1_000 and steps.max() <= 10_000_000
    return microseconds.astype(np.int64) * 1000 if sound else None
