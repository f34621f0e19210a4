"""What the encoding of a ROS image says: bytes per pixel and meaning; and how to get from one to another.

Encodings are of two kinds. Color ones (rgb8, mono16, bayer_rggb8, yuv422 ...) say what the channels mean and convert
into each other. Plain ones (8UC3, 32FC1 ...) say only the type: to and from them the channels must stay.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

SCALAR_TYPES = {"8U": "uint8", "8S": "int8", "16U": "uint16", "16S": "int16", "32S": "int32", "32F": "float32",
                "64F": "float64"}  # fmt: skip
PLAIN = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C(?:([1-4])|\(([1-4])\))?")

MEANINGS = {"mono": ("GRAY", 1), "rgb": ("RGB", 3), "bgr": ("BGR", 3), "rgba": ("RGBA", 4), "bgra": ("BGRA", 4)}
# A Bayer pattern is named here by its first two pixels, and in OpenCV by the two below them and to the right.
BAYER = {"bayer_rggb": "BayerBG", "bayer_bggr": "BayerRG", "bayer_gbrg": "BayerGR", "bayer_grbg": "BayerGB"}
YUV = {"yuv422": "UYVY", "uyvy": "UYVY", "yuv422_yuy2": "YUY2", "yuyv": "YUY2"}


class Encoding(NamedTuple):
    scalar: str
    """OpenCV's name: 8U, 16U, 32F ..."""
    channels: int
    meaning: str | None
    """GRAY, RGB, BGR, RGBA, BGRA, BayerXY, UYVY, YUY2; None for a plain encoding."""

    @property
    def dtype(self) -> str:
        return SCALAR_TYPES[self.scalar]

    @property
    def bits(self) -> int:
        return int(re.sub(r"\D", "", self.scalar))

    @property
    def cv_type(self) -> str:
        return f"{self.scalar}C{self.channels}"


def parse(name: str) -> Encoding:
    """Raises ValueError for a name that is none of sensor_msgs' encodings."""
    if name in YUV:
        return Encoding("8U", 2, YUV[name])
    if plain := PLAIN.fullmatch(name):
        return Encoding(plain[1], int(plain[2] or plain[3] or 1), None)
    for bits in (8, 16):
        stem = name.removesuffix(str(bits))
        if stem != name and stem in MEANINGS:
            meaning, channels = MEANINGS[stem]
            return Encoding(f"{bits}U", channels, meaning)
        if stem != name and stem in BAYER:
            return Encoding(f"{bits}U", 1, BAYER[stem])
    raise ValueError(f"Unrecognized image encoding [{name}]")


def convert(image: NDArray, source_name: str, target_name: str) -> NDArray:
    """Raises ValueError for a conversion that makes no sense, cv2.error for an image that is not what it claims."""
    if source_name == target_name:
        return image.copy()
    source, target = parse(source_name), parse(target_name)
    if source.meaning is None and target.meaning is not None:
        raise ValueError(
            f"[{source_name}] is not a color format. but [{target_name}] is. The conversion does not make sense"
        )
    if target.meaning is None:
        if source.channels != target.channels:
            raise ValueError(f"[{source_name}] and [{target_name}] do not have the same number of channel")
        return change_depth(image, source, target)
    if source.meaning != target.meaning:
        image = cv2.cvtColor(image, conversion_code(source, target, f"from [{source_name}] to [{target_name}]"))
    return change_depth(image, source, target)


def conversion_code(source: Encoding, target: Encoding, what: str) -> int:
    known = {meaning for meaning, _ in MEANINGS.values()}
    if target.meaning in known:
        if source.meaning in known:
            return int(getattr(cv2, f"COLOR_{source.meaning}2{target.meaning}"))
        if source.meaning in YUV.values():
            return int(getattr(cv2, f"COLOR_YUV2{target.meaning}_{source.meaning}"))
        if target.channels < 4:  # cv_bridge demosaics to gray, RGB and BGR only
            return int(getattr(cv2, f"COLOR_{source.meaning}2{target.meaning}"))
    raise ValueError(f"Unsupported conversion {what}")


def change_depth(image: NDArray, source: Encoding, target: Encoding) -> NDArray:
    """8 and 16 bits are two scales of the same thing (255 is 65535); all other types keep their numbers."""
    if source.scalar == target.scalar:
        return image.copy()
    scaled = image.astype(np.float64)
    if (source.bits, target.bits) == (8, 16):
        scaled *= 65535 / 255
    elif (source.bits, target.bits) == (16, 8):
        scaled *= 255 / 65535
    dtype = np.dtype(target.dtype)
    if dtype.kind in "iu":  # round and saturate, as OpenCV does
        limits = np.iinfo(dtype)
        scaled = np.clip(np.rint(np.nan_to_num(scaled, nan=limits.min)), limits.min, limits.max)
    return scaled.astype(dtype)
