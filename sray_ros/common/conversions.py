"""Conversions between ROS messages and the arrays, cameras and clouds of the library. No node, no topics.

Every error names what was wrong in the message and what to do.
"""

from __future__ import annotations

import array

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from sray.camera import Camera
from sray.depth import why_not_meters
from sray.errors import PictureError
from sray.label_space import VOID, LabelSpace
from sray.mapping.cloud import LabeledCloud
from sray.pictures import FORMATS, BitDepth, Fits, claimed_size, decode

Picture = NDArray[np.uint8]
Depth = NDArray[np.float32]

MOST_PIXELS = 1 << 26
"""Of a picture: what is claimed in a spoilt header is allocated before it is found to be wrong."""

_BRIDGE = CvBridge()  # holds no state

CLOUD_FIELDS = [
    PointField(name=name, offset=4 * place, datatype=datatype, count=1)
    for place, (name, datatype) in enumerate(
        [
            ("x", PointField.FLOAT32),
            ("y", PointField.FLOAT32),
            ("z", PointField.FLOAT32),
            ("rgb", PointField.FLOAT32),
            ("label", PointField.UINT32),
            ("confidence", PointField.FLOAT32),
        ]
    )
]


def nanoseconds(stamp: Time) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def time_message(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)


def read_image(
    message: Image | CompressedImage, *, fits: Fits | None = None, bit_depth: BitDepth | None = None
) -> Picture:
    """RGB (height, width, 3). Raises PictureError for what cannot become RGB, named.

    `fits`: what sizes the camera's pictures can have, where a compressed one may be turned (`sray.pictures.decode`).
    `bit_depth`: of the camera, where it sends 16 bits; None: of this picture alone.
    """
    bit_depth = bit_depth or BitDepth()
    if isinstance(message, Image) and not (message.width and message.height):
        raise PictureError(f"an image has {message.width}x{message.height} pixels", "some", "Check the driver")
    if isinstance(message, CompressedImage):
        size = claimed_size(memoryview(message.data).cast("B"))
        if size is None or not 0 < size[0] * size[1] <= MOST_PIXELS:
            found = f"is no whole {FORMATS}" if size is None else f"claims {size[0]}x{size[1]} pixels"
            raise PictureError(
                f"a compressed image ({message.format!r}) {found}", f"{FORMATS}, {MOST_PIXELS} pixels at most"
            )
    try:
        if isinstance(message, CompressedImage):
            return _decompressed(message, fits, bit_depth)
        message = _tight(message)
        if message.encoding.endswith("16"):
            message = _of_8_bits(message, bit_depth)
        return np.ascontiguousarray(_BRIDGE.imgmsg_to_cv2(message, "rgb8"))
    except (CvBridgeError, KeyError, ValueError, TypeError, cv2.error) as error:
        encoding = message.format if isinstance(message, CompressedImage) else message.encoding
        raise PictureError(
            f"an image with encoding {encoding!r} cannot be read as colors ({error})",
            f"rgb8, bgr8, mono8, a Bayer or YUV encoding, or {FORMATS}",
            "Check the driver, or convert with image_proc",
        ) from error


def _decompressed(message: CompressedImage, fits: Fits | None, bit_depth: BitDepth) -> Picture:
    """What image_transport sent: `format` is "jpeg", or "<encoding>; jpeg compressed <encoding that was stored>"."""
    stored = decode(memoryview(message.data).cast("B"), fits)
    if stored is None:
        raise ValueError(f"{len(message.data)} bytes that OpenCV cannot decode")
    picture, encoding = bit_depth.to_8_bits(stored), message.format.partition(";")[0].strip()
    if picture.ndim == 2 and encoding.startswith("bayer_"):  # the pattern was compressed as it was, as gray
        pattern = image_message(message.header, picture, f"{encoding.removesuffix('16').removesuffix('8')}8")
        return np.ascontiguousarray(_BRIDGE.imgmsg_to_cv2(pattern, "rgb8"))
    if picture.ndim == 2:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)
    if "compressed rgb8" in message.format:  # stored in the order in which OpenCV has blue first
        return np.ascontiguousarray(picture)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _tight(message: Image) -> Image:
    """The same picture without padding: cv_bridge shears rows that are padded to anything but whole pixels.

    One with too few bytes as it is: cv_bridge refuses it. Raises CvBridgeError for an unknown encoding.
    """
    scalar, channels = _BRIDGE.encoding_to_dtype_with_channels(message.encoding)
    pixel = np.dtype(scalar).itemsize * channels
    row = message.width * pixel
    if message.step <= row or len(message.data) < message.step * (message.height - 1) + row:
        return message
    shape, strides = (message.height, message.width, pixel), (message.step, pixel, 1)
    rows: Picture = np.ndarray(shape, np.uint8, np.frombuffer(message.data, np.uint8), strides=strides)
    tight = image_message(message.header, rows, message.encoding)
    tight.is_bigendian = message.is_bigendian
    return tight


def _of_8_bits(message: Image, bit_depth: BitDepth) -> Image:
    """The same picture with half the bits, by as many as its camera fills."""
    picture = bit_depth.to_8_bits(_BRIDGE.imgmsg_to_cv2(message, "passthrough"))
    return image_message(message.header, picture, f"{message.encoding.removesuffix('16')}8")


def read_depth(message: Image) -> Depth:
    """Meters (height, width), NaN where there is none. Raises PictureError.

    32FC1 is meters with NaN as invalid, 16UC1 and mono16 millimeters with 0 as invalid (REP 118). Floats that can only
    be millimeters are refused.
    """
    if message.encoding not in ("32FC1", "16UC1", "mono16"):
        raise PictureError(
            f"a depth image has encoding {message.encoding!r}", "32FC1 in meters or 16UC1 in millimeters"
        )
    try:
        raw = _BRIDGE.imgmsg_to_cv2(_tight(message), "passthrough")
    except (CvBridgeError, ValueError, TypeError) as error:
        raise PictureError(f"a depth image cannot be read: {error}") from error
    if not raw.size:
        raise PictureError("a depth image has no pixels", "some, or no image")
    if message.encoding == "32FC1" and (why := why_not_meters(raw)):
        raise why
    meters: Depth = raw.astype(np.float32) * np.float32(1.0 if message.encoding == "32FC1" else 0.001)
    meters[~(np.isfinite(meters) & (meters > 0))] = np.nan
    return meters


def read_labels(message: Image) -> Picture:
    """Class indices (height, width), 255 unlabeled. Raises PictureError."""
    rows = message.step * message.height
    is_whole = len(message.data) >= rows > 0 and message.step >= message.width > 0
    if message.encoding not in ("mono8", "8UC1") or not is_whole:
        raise PictureError(
            f"a label image has encoding {message.encoding!r} and {len(message.data)} bytes for "
            f"{message.width}x{message.height}",
            "mono8 class indices, one byte a pixel",
        )
    picture = np.frombuffer(message.data, np.uint8)[:rows].reshape(message.height, message.step)
    return np.ascontiguousarray(picture[:, : message.width])


def image_message(header: Header, picture: NDArray[np.generic], encoding: str) -> Image:
    """An Image of a contiguous array whose type is the encoding's."""
    picture = np.ascontiguousarray(picture)
    message = Image(header=header, height=picture.shape[0], width=picture.shape[1], encoding=encoding)
    message.step = picture.nbytes // max(1, picture.shape[0])
    # Assigning an ndarray to `data` checks every byte in Python: 91 ms a picture instead of 0.5.
    data = array.array("B")
    data.frombytes(picture.reshape(-1).view(np.uint8).data)
    message.data = data
    return message


def camera_info_message(header: Header, camera: Camera) -> CameraInfo:
    """A pinhole camera without distortion."""
    k = camera.intrinsics.double().numpy()
    message = CameraInfo(header=header, height=camera.height, width=camera.width, distortion_model="plumb_bob")
    message.d = [0.0] * 5
    message.k = k.reshape(-1).tolist()
    message.r = np.eye(3).reshape(-1).tolist()
    message.p = np.hstack([k, np.zeros((3, 1))]).reshape(-1).tolist()
    return message


def label_info_message(header: Header, label_space: LabelSpace, threshold: float) -> LabelInfo:
    """Names and ids, 255 included; `threshold`: the confidence below which a pixel is 255."""
    classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(label_space.names)]
    classes.append(VisionClass(class_id=VOID, class_name="UNLABELED"))
    return LabelInfo(header=header, class_map=classes, threshold=float(threshold))


def cloud_message(header: Header, cloud: LabeledCloud) -> PointCloud2:
    """x y z float32, rgb packed in a float32 (as PCL and RViz read it), label uint32, confidence float32."""
    points = np.zeros(len(cloud), point_cloud2.dtype_from_fields(CLOUD_FIELDS))
    for axis, name in enumerate("xyz"):
        points[name] = cloud.points[:, axis]
    red, green, blue = cloud.rgb.astype(np.uint32).T
    points["rgb"] = ((red << 16) | (green << 8) | blue).view(np.float32)
    points["label"] = cloud.labels
    points["confidence"] = cloud.confidence
    return point_cloud2.create_cloud(header, CLOUD_FIELDS, points)
