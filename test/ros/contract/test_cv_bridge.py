"""What the nodes rely on of cv_bridge: shapes, types and values of each encoding, row padding, byte order, errors."""

from __future__ import annotations

import array

import cv_bridge
import numpy as np
import pytest
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import Image

BRIDGE = CvBridge()


def message(encoding: str, height: int, width: int, step: int, data: bytes, is_bigendian: int = 0) -> Image:
    built = Image(encoding=encoding, height=height, width=width, step=step, is_bigendian=is_bigendian)
    built.data = array.array("B", data)
    return built


def colors(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8, endpoint=True)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [
        ("rgb8", np.uint8, 3),
        ("bgr8", np.uint8, 3),
        ("rgba8", np.uint8, 4),
        ("bgra8", np.uint8, 4),
        ("mono8", np.uint8, 1),
        ("mono16", np.uint16, 1),
        ("rgb16", np.uint16, 3),
        ("8UC1", np.uint8, 1),
        ("8UC3", np.uint8, 3),
        ("16UC1", np.uint16, 1),
        ("16SC1", np.int16, 1),
        ("32SC1", np.int32, 1),
        ("32FC1", np.float32, 1),
        ("32FC3", np.float32, 3),
        ("64FC1", np.float64, 1),
        ("bayer_rggb8", np.uint8, 1),
        ("bayer_gbrg16", np.uint16, 1),
        ("yuv422", np.uint8, 2),
    ],
)
def test_passthrough_keeps_the_numbers_in_the_type_of_the_encoding(encoding, dtype, channels):
    shape = (2, 4) if channels == 1 else (2, 4, channels)
    values = (np.arange(2 * 4 * channels) * 7).astype(dtype).reshape(shape)
    image = BRIDGE.imgmsg_to_cv2(message(encoding, 2, 4, values.strides[0], values.tobytes()))
    assert image.dtype == dtype and image.shape == shape
    np.testing.assert_array_equal(image, values)
    scalar, count = BRIDGE.encoding_to_dtype_with_channels(encoding)
    assert (np.dtype(scalar), count) == (dtype, channels)


def test_nan_depth_comes_through():
    depth = np.array([[1.5, np.nan], [np.inf, 0.0]], np.float32)
    np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message("32FC1", 2, 2, 8, depth.tobytes())), depth)


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels", "step"),
    [("mono8", np.uint8, 1, 8), ("rgb8", np.uint8, 3, 21), ("16UC1", "<u2", 1, 16)],
)
def test_the_padding_at_the_end_of_rows_is_left_out(encoding, dtype, channels, step):
    rows = np.full((3, step), 0xEE, np.uint8)
    values = (np.arange(3 * 5 * channels) + 1).astype(dtype).reshape(3, 5, channels)
    rows[:, : values.strides[0]] = values.reshape(3, -1).view(np.uint8)
    image = BRIDGE.imgmsg_to_cv2(message(encoding, 3, 5, step, rows.tobytes()))
    np.testing.assert_array_equal(image, values[..., 0] if channels == 1 else values)


def test_padded_rows_convert_too():
    pixels = colors(3, 5, 3)
    rows = np.full((3, 21), 0xEE, np.uint8)
    rows[:, :15] = pixels.reshape(3, 15)
    image = BRIDGE.imgmsg_to_cv2(message("bgr8", 3, 5, 21, rows.tobytes()), "rgb8")
    np.testing.assert_array_equal(image, pixels[..., ::-1])


@pytest.mark.skipif(
    not getattr(cv_bridge, "STANDIN", False) and np.__version__.split(".")[0] != "1",
    reason="official versions call ndarray.newbyteorder, which NumPy 2 has not",
)
def test_big_endian_numbers_are_read_as_what_they_are():
    depth = np.array([[1, 256], [1000, 65535]])
    image = BRIDGE.imgmsg_to_cv2(message("16UC1", 2, 2, 4, depth.astype(">u2").tobytes(), is_bigendian=1))
    np.testing.assert_array_equal(image, depth)
    assert image[1, 0] + 0 == 1000


# --- conversions


@pytest.mark.parametrize(
    ("source", "order"),
    [
        ("rgb8", [0, 1, 2]),
        ("bgr8", [2, 1, 0]),
        ("rgba8", [0, 1, 2]),
        ("bgra8", [2, 1, 0]),
        ("mono8", [0, 0, 0]),
    ],
)
def test_color_conversions_reorder_the_channels(source, order):
    channels = {"mono8": 1, "rgb8": 3, "bgr8": 3}.get(source, 4)
    pixels = colors(4, 6, channels)
    image = BRIDGE.imgmsg_to_cv2(message(source, 4, 6, 6 * channels, pixels.tobytes()), "rgb8")
    np.testing.assert_array_equal(image, pixels[..., order])


def test_16_bits_are_a_finer_scale_of_8():
    wide = np.array([[0, 257, 65278, 65535]], "<u2")
    image = BRIDGE.imgmsg_to_cv2(message("mono16", 1, 4, 8, wide.tobytes()), "rgb8")
    assert image[0, :, 0].tolist() == [0, 1, 254, 255]


@pytest.mark.parametrize(
    ("encoding", "red_at"),
    [("bayer_rggb8", (0, 0)), ("bayer_bggr8", (1, 1)), ("bayer_gbrg8", (1, 0)), ("bayer_grbg8", (0, 1))],
)
def test_bayer_patterns_name_their_first_pixels(encoding, red_at):
    red, green, blue = 200, 100, 50
    mosaic = np.full((8, 8), green, np.uint8)
    mosaic[red_at[0] :: 2, red_at[1] :: 2] = red
    mosaic[1 - red_at[0] :: 2, 1 - red_at[1] :: 2] = blue
    image = BRIDGE.imgmsg_to_cv2(message(encoding, 8, 8, 8, mosaic.tobytes()), "rgb8")
    assert image.shape == (8, 8, 3)
    assert (image[2:-2, 2:-2] == (red, green, blue)).all()


@pytest.mark.parametrize(("encoding", "luma_at"), [("yuv422", 1), ("yuv422_yuy2", 0)])
def test_yuv_knows_where_its_brightness_is(encoding, luma_at):
    luma = colors(2, 4)
    pixels = np.full((2, 4, 2), 128, np.uint8)
    pixels[..., luma_at] = luma
    rgb = BRIDGE.imgmsg_to_cv2(message(encoding, 2, 4, 8, pixels.tobytes()), "rgb8").astype(int)
    assert rgb.shape == (2, 4, 3) and (np.ptp(rgb, axis=-1) <= 2).all()  # gray
    # Brightness 16 to 235 is black to white.
    np.testing.assert_allclose(rgb[..., 1], ((luma - 16.0) * 255 / 219).clip(0, 255), atol=2)


# --- errors


def test_the_error_is_a_type_error():
    assert issubclass(CvBridgeError, TypeError)


@pytest.mark.parametrize("encoding", ["", "rgb9", "mono32", "jpeg"])
def test_unknown_encodings_are_refused(encoding):
    with pytest.raises(CvBridgeError):
        BRIDGE.imgmsg_to_cv2(message(encoding, 1, 1, 4, bytes(4)))
    with pytest.raises(CvBridgeError):
        BRIDGE.imgmsg_to_cv2(message("rgb8", 1, 1, 3, bytes(3)), encoding or "nonsense")


@pytest.mark.parametrize("source", ["8UC3", "32FC1", "16UC1"])
def test_an_encoding_that_is_no_color_is_refused(source):
    with pytest.raises(CvBridgeError):
        BRIDGE.imgmsg_to_cv2(message(source, 2, 2, 8, bytes(16)), "rgb8")


def test_too_few_bytes_are_refused():
    with pytest.raises(TypeError):
        BRIDGE.imgmsg_to_cv2(message("rgb8", 4, 4, 12, bytes(47)))
