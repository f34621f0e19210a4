"""CvBridge: sensor_msgs Image and CompressedImage to OpenCV's arrays and back."""

from __future__ import annotations

import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from cv_bridge.encodings import SCALAR_TYPES, convert, parse

NATIVE = "<" if sys.byteorder == "little" else ">"


class CvBridgeError(TypeError):
    """An image or encoding that cannot be converted."""


class CvBridge:
    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> NDArray:
        """The image as (height, width) or, with several channels, (height, width, channels).

        With "passthrough" the array may share its memory with the message: copy it before writing.
        Raises CvBridgeError for an unknown encoding, one that cannot become `desired_encoding`, and too few bytes.
        """
        dtype_name, channels = self.encoding_to_dtype_with_channels(img_msg.encoding)
        dtype = np.dtype(dtype_name).newbyteorder(">" if img_msg.is_bigendian else "<")
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
        return image if desired_encoding == "passthrough" else self._convert(image, img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(self, cvim: NDArray, encoding: str = "passthrough", header: Header | None = None) -> Image:
        """The message of an image, whose type must be that of `encoding` ("passthrough": 8UC3 and the like)."""
        cv_type = self._cv_type_of(cvim)
        if encoding == "passthrough":
            encoding = cv_type
        elif (expected := self.encoding_to_cvtype_name(encoding)) != cv_type:
            raise CvBridgeError(
                f"encoding specified as {encoding}, which is {expected}, but image has incompatible type {cv_type}"
            )
        message = Image(height=cvim.shape[0], width=cvim.shape[1], encoding=encoding)
        if header is not None:
            message.header = header
        message.is_bigendian = int((cvim.dtype.byteorder.replace("=", NATIVE)) == ">")
        message.step = cvim.shape[1] * cvim.itemsize * (cvim.shape[2] if cvim.ndim > 2 else 1)
        # extending the array of bytes is a copy; assigning an array to `data` checks every byte in Python
        message.data.frombytes(np.ascontiguousarray(cvim).reshape(-1).view(np.uint8).data)
        return message

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> NDArray:
        """The decoded image: 8 bits, BGR, or gray if stored gray. Raises CvBridgeError for bytes that are none."""
        data = np.frombuffer(as_buffer(cmprs_img_msg.data), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
        if image is None:
            raise CvBridgeError(f"{data.size} bytes of format '{cmprs_img_msg.format}' are no image OpenCV can decode")
        return image if desired_encoding == "passthrough" else self._convert(image, "bgr8", desired_encoding)

    def cv2_to_compressed_imgmsg(self, cvim: NDArray, dst_format: str = "jpg") -> CompressedImage:
        """The image, BGR or gray, compressed as `dst_format`: jpg, png and what else OpenCV writes."""
        self._cv_type_of(cvim)
        try:
            done, data = cv2.imencode(f".{dst_format}", cvim)
        except cv2.error as error:
            raise CvBridgeError(f"OpenCV cannot write this image as '{dst_format}': {error}") from error
        if not done:
            raise CvBridgeError(f"OpenCV cannot write this image as '{dst_format}'")
        message = CompressedImage(format=dst_format)
        message.data.frombytes(data.reshape(-1).data)
        return message

    def encoding_to_cvtype2(self, encoding: str) -> int:
        """OpenCV's number of the type, for instance cv2.CV_8UC3 for rgb8. Raises CvBridgeError."""
        return int(getattr(cv2, f"CV_{self.encoding_to_cvtype_name(encoding)}"))

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """NumPy's name of the scalar type and the number of channels. Raises CvBridgeError."""
        try:
            parsed = parse(encoding)
        except ValueError as error:
            raise CvBridgeError(str(error)) from error
        return parsed.dtype, parsed.channels

    def dtype_with_channels_to_cvtype2(self, dtype: np.dtype, n_channels: int) -> str:
        """OpenCV's name of the type, for instance 8UC3. Raises CvBridgeError."""
        for scalar, name in SCALAR_TYPES.items():
            if name == dtype.name:
                return f"{scalar}C{n_channels}"
        raise CvBridgeError(f"an image of {dtype.name}; OpenCV knows {', '.join(SCALAR_TYPES.values())}")

    def encoding_to_cvtype_name(self, encoding: str) -> str:
        dtype, channels = self.encoding_to_dtype_with_channels(encoding)
        return self.dtype_with_channels_to_cvtype2(np.dtype(dtype), channels)

    def _cv_type_of(self, image: Any) -> str:
        if not isinstance(image, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        return self.dtype_with_channels_to_cvtype2(image.dtype, image.shape[2] if image.ndim > 2 else 1)

    @staticmethod
    def _convert(image: NDArray, source: str, target: str) -> NDArray:
        try:
            return convert(image, source, target)
        except (ValueError, cv2.error) as error:
            raise CvBridgeError(str(error)) from error


def as_buffer(data: Any) -> Any:
    """A message built by hand may carry a list; everything that came over a topic is an array of bytes already."""
    return bytes(data) if isinstance(data, list) else data
