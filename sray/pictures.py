"""Encoded pictures: the size that their first bytes claim, and decoding to the pixels that a camera's K belongs to.

Cameras write how they were held into a picture's EXIF tag, and decoders turn it by that: then neither K nor the pose
fits. Pictures are taken as stored, unless only the turned ones have the size, or the shape, of the calibration.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

FORMATS = "jpeg, png, webp or upright tiff"
"""What is decoded, for messages. OpenCV turns a TIFF by its tag whatever it is asked."""
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's SOF markers: baseline, progressive and so on; the others of the range are tables (ITU-T T.81, table B.1)."""
BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""
TIFF: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
TIFF_WIDTH, TIFF_HEIGHT, TIFF_ORIENTATION = 256, 257, 274
AS_SENT = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
"""Gray or BGR, 8 or 16 bits; transparency is left out."""

Fits = Callable[[int, int], bool]
"""Whether pictures of this width and height can be a camera's: `Calibration.fits`."""


def decode(data: bytes | memoryview, fits: Fits | None = None, flags: int = AS_SENT) -> NDArray[Any] | None:
    """The picture, BGR or gray, as `flags` of `cv2.imdecode` ask; None if it cannot be decoded.

    `fits`: turned by its EXIF tag if the stored picture does not fit, and the turned one does.
    """
    encoded = np.frombuffer(data, np.uint8)
    if flags == cv2.IMREAD_UNCHANGED:  # never turned, and takes no other flag
        as_it_is: NDArray[Any] | None = cv2.imdecode(encoded, flags)
        return as_it_is
    stored: NDArray[Any] | None = cv2.imdecode(encoded, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if stored is None or fits is None or fits(stored.shape[1], stored.shape[0]):
        return stored
    turned: NDArray[Any] | None = cv2.imdecode(encoded, flags)
    return turned if turned is not None and fits(turned.shape[1], turned.shape[0]) else stored


def decode_file(path: Path, fits: Fits | None = None, flags: int = cv2.IMREAD_COLOR) -> NDArray[Any] | None:
    """As `decode`; None too if the file cannot be read, or is empty."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return decode(data, fits, flags) if data else None


class BitDepth:
    """How many of the 16 bits of its pictures a camera fills: as many as the brightest pixel so far takes.

    Sensors of 10, 12 or 14 bits come as mono16, rgb16 or bayer_*16 and are black if they are taken to fill them.
    """

    def __init__(self) -> None:
        self.bits = 8

    def to_8_bits(self, picture: NDArray[Any]) -> NDArray[np.uint8]:
        """Pictures of 16 bits, scaled; those of 8 bits as they are."""
        if picture.dtype != np.uint16:
            return picture
        brightest = int(picture.max(initial=0))
        self.bits = max(self.bits, next(bits for bits in (8, 10, 12, 14, 16) if brightest < 1 << bits))
        return np.asarray(picture >> (self.bits - 8), np.uint8)


def claimed_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """Width and height in a picture's header, which cost memory as soon as it is decoded.

    None if it is none of `FORMATS`, or claims more bytes than there are.
    """
    data = memoryview(data)
    start = bytes(data[:12])
    if start[:8] == PNG:
        return _size_of_png(data)
    if start[:4] == b"RIFF" and start[8:] == b"WEBP":
        return _size_of_webp(data)
    if start[:4] in TIFF:
        return _size_of_tiff(data, TIFF[start[:4]])
    return _size_of_jpeg(data) if start[:2] == JPEG else None


def _size_of_png(data: memoryview) -> tuple[int, int] | None:
    at = 8
    while at < len(data):  # each chunk: length, name, content, checksum
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at <= len(data) and bytes(data[at - 8 : at - 4]) == b"IEND":
            break
    if at > len(data) or len(data) < 24:
        return None
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _size_of_jpeg(data: memoryview) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in BARE:
            at += 2
        elif marker in FRAME_HEADERS:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _size_of_webp(data: memoryview) -> tuple[int, int] | None:
    """Source: RFC 9649: a RIFF whose first chunk is VP8X (extended), VP8L (lossless) or VP8 (lossy)."""
    if len(data) < 30 or 8 + int.from_bytes(data[4:8], "little") > len(data):
        return None
    chunk = bytes(data[12:16])
    if chunk == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _size_of_tiff(data: memoryview, order: Literal["little", "big"]) -> tuple[int, int] | None:
    """Source: TIFF 6.0: entries of 12 bytes: tag, type (3: 16 bits, 4: 32 bits), count, value."""
    at = int.from_bytes(data[4:8], order)
    found = {TIFF_ORIENTATION: 1}
    for entry in range(int.from_bytes(data[at : at + 2], order)):
        start = at + 2 + 12 * entry
        if start + 12 > len(data):
            return None
        wide = 4 if int.from_bytes(data[start + 2 : start + 4], order) == 4 else 2
        found[int.from_bytes(data[start : start + 2], order)] = int.from_bytes(
            data[start + 8 : start + 8 + wide], order
        )
    if found[TIFF_ORIENTATION] != 1 or TIFF_WIDTH not in found or TIFF_HEIGHT not in found:
        return None
    return found[TIFF_WIDTH], found[TIFF_HEIGHT]
