"""The form of ScanNet's `.sens` files (version 4): their header, and where each frame's pictures are.

Little-endian: u32 version; u64 length and sensor name; four 4x4 f32, row by row: color K, color extrinsic, depth K,
depth extrinsic (each extrinsic from its camera to the rig); i32 color codec; i32 depth codec; u32 color width,
height; u32 depth width, height; f32 depth units a meter; u64 frames. A frame: 16 f32 world from rig, u64 color stamp,
u64 depth stamp (microseconds), u64 color bytes, u64 depth bytes, then both. Motion sensor readings may follow.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sray.calibration import why_implausible
from sray.errors import FileError
from sray.sequence import is_rigid

VERSION = 4
COLOR_CODECS = {0: "raw", 1: "png", 2: "jpeg"}
DEPTH_CODECS = {0: "raw", 1: "zlib", 2: "occi"}
LARGEST_SIDE = 1 << 14
"""Pixels; beyond it a header is damaged, not a picture large."""
LARGEST_PICTURE = 1 << 24
"""Pixels in all: depth's way into the color camera takes a hundred bytes for each."""
FARTHEST = 1e6
"""Meters, or pixels, in a header's matrices; beyond it their products leave single precision."""
_MATRICES = struct.Struct("<64f")
_FORMAT = struct.Struct("<ii4IfQ")
_FRAME = np.dtype(
    [("pose", "<f4", (4, 4)), ("stamps", "<u8", 2), ("color_bytes", "<u8"), ("depth_bytes", "<u8"), ("at", "<u8")]
)
_FRAME_HEADER = _FRAME.itemsize - 8
"""Bytes a frame has in the file before its pictures; `at`, where those begin, is ours."""


@dataclass(frozen=True)
class SensHeader:
    """What a `.sens` file says before its frames."""

    sensor: str
    color_intrinsics: NDArray[np.float64]
    """K (3, 3)."""
    depth_intrinsics: NDArray[np.float64]
    rig_from_color: NDArray[np.float64]
    """(4, 4); the identity in ScanNet, as `rig_from_depth`."""
    rig_from_depth: NDArray[np.float64]
    color_codec: str
    depth_codec: str
    color_size: tuple[int, int]
    """Width and height; 0 x 0: none."""
    depth_size: tuple[int, int]
    units_per_meter: float
    frames: int


def read_header(file: BinaryIO, path: Path) -> SensHeader:
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
    color_codec, depth_codec, *sizes, units, frames = _FORMAT.unpack(_read(file, _FORMAT.size, path))
    color, depth = (sizes[0], sizes[1]), (sizes[2], sizes[3])
    has_depth = 0 not in depth
    for what, number, codecs in (("color", color_codec, COLOR_CODECS), ("depth", depth_codec, DEPTH_CODECS)):
        name = codecs.get(number, f"number {number}")
        # Depth by Structure's own occipital codec needs its closed library.
        if (name not in codecs.values() or name == "occi") and (what == "color" or has_depth):
            known = ", ".join(codec for codec in codecs.values() if codec != "occi")
            remedy = "export the scene with ScanNet's SensReader and read the folder"
            raise FileError(f"{path} holds {what} in codec {name}", f"one of {known}", remedy)
    if 0 in color or max(sizes) > LARGEST_SIDE or max(np.prod(color), np.prod(depth)) > LARGEST_PICTURE:
        raise FileError(
            f"{path} has pictures of {color} and depth of {depth} pixels", "sound sizes", "Download it again"
        )
    if has_depth and not (np.isfinite(units) and units > 0):
        raise FileError(
            f"{path} has {units} depth units a meter", "a number above 0, such as 1000", "Download it again"
        )
    for what, matrix, size, needed in (("color", matrices[0], color, True), ("depth", matrices[2], depth, has_depth)):
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
        COLOR_CODECS[color_codec],
        DEPTH_CODECS.get(depth_codec, "none"),
        color,
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


def read_index(file: BinaryIO, path: Path, frames: int) -> NDArray[np.void]:
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
        at += int(index[number]["color_bytes"]) + int(index[number]["depth_bytes"])
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
