"""Stand-in for the official cv_bridge (Python): sensor_msgs images as NumPy arrays, as stored or as RGB.

Only the subset this project uses; see ros_standins/README.md.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

STANDIN = True
"""The official package has no such name: getattr(cv_bridge, "STANDIN", False) tells which of the two runs."""

__all__ = ["STANDIN", "CvBridge", "CvBridgeError"]

SCALAR_TYPES = {"8U": "uint8", "8S": "int8", "16U": "uint16", "16S": "int16", "32S": "int32", "32F": "float32",
                "64F": "float64"}  # fmt: skip
PLAIN = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C(?:([1-4])|\(([1-4])\))?")
"""Encodings that say the type alone (8UC3, 32FC1 ...), and not what the channels mean."""
COLORS = {"mono": ("GRAY", 1), "rgb": ("RGB", 3), "bgr": ("BGR", 3), "rgba": ("RGBA", 4), "bgra": ("BGRA", 4)}
# A Bayer pattern is named here by its first two pixels, and in OpenCV by the two below them and to the right.
BAYER = {"bayer_rggb": "BayerBG", "bayer_bggr": "BayerRG", "bayer_gbrg": "BayerGR", "bayer_grbg": "BayerGB"}
YUV = {"yuv422": "UYVY", "uyvy": "UYVY", "yuv422_yuy2": "YUY2", "yuyv": "YUY2"}


class CvBridgeError(TypeError):
    """An image or encoding that cannot be converted."""


class Encoding(NamedTuple):
    """What the encoding of a ROS image says."""

    scalar: str
    """OpenCV's name: 8U, 16U, 32F ..."""
    channels: int
    meaning: str
    """As in OpenCV's names of conversions: GRAY, RGB, BGR, RGBA, BGRA, BayerXY, YUV; empty for a plain encoding."""


class CvBridge:
    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> NDArray:
        """The image as (height, width) or, with several channels, (height, width, channels).

        `desired_encoding`: passthrough, or rgb8. With passthrough the array may share its memory with the message: copy
        it before writing. Raises CvBridgeError for an unknown encoding, one that cannot become `desired_encoding`, and
        too few bytes.
        """
        encoding = parse(img_msg.encoding)
        channels = encoding.channels
        dtype = np.dtype(SCALAR_TYPES[encoding.scalar]).newbyteorder(">" if img_msg.is_bigendian else "<")
        shape = (img_msg.height, img_msg.width) + ((channels,) if channels > 1 else ())
        pixel = dtype.itemsize * channels
        row = max(img_msg.step, img_msg.width * pixel)  # rows may be padded
        data = np.frombuffer(as_buffer(img_msg.data), np.uint8)
        if data.size < (row * (img_msg.height - 1) + img_msg.width * pixel if img_msg.height else 0):
            raise CvBridgeError(
                f"the image has {data.size} bytes; {img_msg.height} rows of {row} bytes are expected of "
                f"{img_msg.width} pixels in {img_msg.encoding}"
            )
        strides = (row, pixel) + ((dtype.itemsize,) if channels > 1 else ())
        image = np.ascontiguousarray(np.ndarray(shape, dtype, data, strides=strides))
        image = image.astype(dtype.newbyteorder("="), copy=False)
        return image if desired_encoding == "passthrough" else converted(image, img_msg.encoding, desired_encoding)

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """NumPy's name of the type, and the number of channels. Raises CvBridgeError for an unknown encoding."""
        parsed = parse(encoding)
        return SCALAR_TYPES[parsed.scalar], parsed.channels


def parse(name: str) -> Encoding:
    """Raises CvBridgeError for a name that is none of sensor_msgs' encodings."""
    if name in YUV:
        return Encoding("8U", 2, "YUV")
    if plain := PLAIN.fullmatch(name):
        return Encoding(plain[1], int(plain[2] or plain[3] or 1), "")
    for bits in (8, 16):
        stem = name.removesuffix(str(bits))
        if stem != name and stem in COLORS:
            meaning, channels = COLORS[stem]
            return Encoding(f"{bits}U", channels, meaning)
        if stem != name and stem in BAYER:
            return Encoding(f"{bits}U", 1, BAYER[stem])
    raise CvBridgeError(f"Unrecognized image encoding [{name}]")


def converted(image: NDArray, source: str, target: str) -> NDArray:
    """RGB of 8 bits (height, width, 3). Raises CvBridgeError for any other target, and a source that is no color."""
    if target != "rgb8":
        raise CvBridgeError(
            f"Unsupported conversion from [{source}] to [{target}]: the stand-in converts to rgb8 alone"
        )
    encoding = parse(source)
    if not encoding.meaning:
        raise CvBridgeError(f"[{source}] is not a color format. but [{target}] is. The conversion does not make sense")
    try:
        if encoding.meaning == "YUV":
            image = cv2.cvtColor(image, getattr(cv2, f"COLOR_YUV2RGB_{YUV[source]}"))
        elif encoding.meaning != "RGB":
            image = cv2.cvtColor(image, getattr(cv2, f"COLOR_{encoding.meaning}2RGB"))
    except cv2.error as error:
        raise CvBridgeError(str(error)) from error
    if encoding.scalar == "16U":  # the same scale with more steps: 65535 is 255
        return np.rint(image / 257).astype(np.uint8)
    return image.copy()


def as_buffer(data: Any) -> Any:
    """A message built by hand may carry a list; everything that came over a topic is an array of bytes already."""
    return bytes(data) if isinstance(data, list) else data
