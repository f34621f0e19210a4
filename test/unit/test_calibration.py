"""Calibration against projections written out by hand: lenses, regions, binning, sizes, and what cannot be right."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sray.calibration import PINHOLE, Calibration, calibrated, lens_of, same_aspect, why_implausible
from sray.camera_info import optical_center, read_camera_info
from sray.errors import CalibrationError, SrayError
from sray.rectification import Rectifier, rectification_tables

K = np.array([[60.0, 0, 31.5], [0, 58.0, 23.5], [0, 0, 1]])
SIZE = (64, 48)


def info(**values: Any) -> SimpleNamespace:
    region = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0)
    fields: dict[str, Any] = {
        "width": 64, "height": 48, "distortion_model": "plumb_bob", "d": [0.0] * 5, "k": K.reshape(-1),
        "r": np.eye(3).reshape(-1), "p": np.hstack([K, np.zeros((3, 1))]).reshape(-1), "binning_x": 0, "binning_y": 0,
        "roi": region,
    }  # fmt: skip
    return SimpleNamespace(**(fields | values))


def refusal(message: SimpleNamespace, **options: Any) -> str:
    with pytest.raises(SrayError) as caught:
        read_camera_info(message, **options)
    assert isinstance(caught.value, CalibrationError)
    return str(caught.value)


def ramp(calibration: Calibration) -> np.ndarray:
    """(height, width, 3): each pixel's column and row, so that a remapped picture says where it looked."""
    columns, rows = np.meshgrid(np.arange(calibration.width), np.arange(calibration.height))
    return np.stack([4 * columns, 5 * rows, 0 * rows], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("values", [[0.0] * 4, []], ids=["zeros", "none"])
@pytest.mark.parametrize("model", ["equidistant", "fisheye", "OPENCV_FISHEYE"])
def test_an_ideal_fisheye_is_no_pinhole(model: str, values: list[float]) -> None:
    calibration = read_camera_info(info(distortion_model=model, d=values))
    assert not calibration.is_pinhole
    columns, rows = rectification_tables(calibration)
    # A pixel of the pinhole camera 25 columns right of the middle: at the angle atan(25 / fx), fx times that angle out.
    assert columns[23, 56] == pytest.approx(
        31.5 + 60.0 * math.atan(24.5 / 60) * _across(24.5 / 60, -0.5 / 58), abs=1e-3
    )
    assert abs(columns[23, 56] - 56) > 1  # which a pinhole would not do
    picture = Rectifier().picture(calibration, ramp(calibration))
    assert picture[23, 56, 0] / 4 == pytest.approx(columns[23, 56], abs=0.3)
    assert rows[23, 56] == pytest.approx(23, abs=0.5)


def _across(x: float, y: float) -> float:
    """The share of an equidistant radius that lies along x, over the angle of x alone."""
    radius = math.hypot(x, y)
    return math.atan(radius) * x / radius / math.atan(x)


@given(
    d=st.lists(st.floats(-0.05, 0.05), min_size=4, max_size=4),
    model=st.sampled_from(["plumb_bob", "equidistant"]),
)
def test_tables_are_opencvs_projection_of_each_pixels_ray(d: list[float], model: str) -> None:
    calibration = read_camera_info(info(d=d, distortion_model=model))
    columns, rows = (
        rectification_tables(calibration)
        if not calibration.is_pinhole
        else np.meshgrid(np.arange(64.0), np.arange(48.0))
    )
    pixel = np.array([50, 40])
    ray = np.linalg.inv(K) @ [*pixel, 1]
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    expected = project(ray.reshape(1, 1, 3), np.zeros(3), np.zeros(3), K, np.array(d))[0].reshape(2)
    np.testing.assert_allclose([columns[40, 50], rows[40, 50]], expected, atol=1e-2)


def test_a_polynomial_that_turns_back_shows_nothing_twice() -> None:
    calibration = read_camera_info(
        info(
            d=[-0.6, 0.0, 0.0, 0.0, 0.0],
            k=(K * [[0.6], [0.6], [1]] + [[0, 0, 12.6], [0, 0, 9.4], [0, 0, 0]]).reshape(-1),
        )
    )
    labels = Rectifier().labels(calibration, np.zeros((48, 64), np.uint8))
    radius = np.hypot(*(np.linalg.inv(calibration.intrinsics) @ [63, 47, 1])[:2])
    assert radius > math.sqrt(1 / 1.8)  # where r - 0.6 r^3 turns
    assert labels[47, 63] == 255
    assert labels[24, 32] == 0


def test_a_turned_stereo_camera_sees_along_the_rectified_axes_and_depth_is_along_them() -> None:
    angle = 0.1
    r = cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0]
    calibration = read_camera_info(info(r=r.reshape(-1)))
    columns, _ = rectification_tables(calibration)
    ray = r.T @ np.linalg.inv(K) @ [31.5, 23.5, 1]  # the rectified optical axis, in the axes of the raw picture
    assert columns[23, 31:33].mean() == pytest.approx(31.5 + 60 * ray[0] / ray[2], abs=0.05)
    wall = np.full((48, 64), 2.0, np.float32)  # at raw z = 2
    depth = Rectifier().depth(calibration, wall)
    assert np.nanmean(depth[23:25, 31:33]) == pytest.approx(2.0 / math.cos(angle), rel=1e-3)


@given(
    left=st.integers(0, 20), top=st.integers(0, 10), binning=st.integers(1, 4),
    point=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.2, 0.2)),
)  # fmt: skip
def test_a_region_and_binning_see_a_point_where_the_full_picture_does(
    left: int, top: int, binning: int, point: tuple[float, float]
) -> None:
    region = SimpleNamespace(x_offset=left, y_offset=top, width=40, height=32)
    part = read_camera_info(info(roi=region, binning_x=binning, binning_y=binning))
    assert (part.width, part.height) == (40 // binning, 32 // binning)
    u, v, _ = K @ [*point, 1]  # in the full picture; in the region left columns less; pixels i b to (i + 1) b become i
    expected = ((u - left + 0.5) / binning - 0.5, (v - top + 0.5) / binning - 0.5)
    np.testing.assert_allclose((part.intrinsics @ [*point, 1])[:2], expected, atol=1e-9)


def test_pictures_of_another_size_scale_k_if_they_have_exactly_its_shape() -> None:
    calibration = read_camera_info(info())
    assert calibration.of_pictures(64, 48) is calibration
    half = calibration.of_pictures(32, 24)
    np.testing.assert_allclose(half.intrinsics, [[30, 0, 15.5], [0, 29, 11.5], [0, 0, 1]])
    with pytest.raises(SrayError, match=r"size 64x48, but the image is 64x36, of another shape"):
        calibration.of_pictures(64, 36)
    assert same_aspect((1296, 968), (640, 480))
    assert not same_aspect((1280, 720), (640, 480))


@pytest.mark.parametrize(
    ("k", "words"),
    [
        ([240, 0, 127.5, 0, 232, 95.5, 0, 0, 1], "the middle of pictures of about 256x192"),
        ([120, 0, 63.5, 0, 116, 47.5, 0, 0, 1], "the middle of pictures of about 128x96"),
        ([30, 0, 15.5, 0, 29, 11.5, 0, 0, 1], "the middle of pictures of about 32x24"),
        ([90, 0, 47.5, 0, 87, 35.5, 0, 0, 1], "the middle of pictures of about 96x72"),
        ([60, 0, 0, 0, 58, 0, 0, 0, 1], "principal point"),
        ([15, 0, 31.5, 0, 15, 23.5, 0, 0, 1], "focal length 15.0 px"),
        ([700, 0, 31.5, 0, 700, 23.5, 0, 0, 1], "focal length 700.0 px"),
        ([60, 0, 31.5, 0, 120, 23.5, 0, 0, 1], "focal lengths 60.0 and 120.0"),
        ([0, 0, 31.5, 0, 58, 23.5, 0, 0, 1], "uncalibrated"),
        ([60, 31.5, 23.5, 0, 58, 0, 0, 0, 0], "row by row"),
        ([math.nan, 0, 31.5, 0, 58, 23.5, 0, 0, 1], "finite"),
        ([60, 0, math.inf, 0, 58, 23.5, 0, 0, 1], "finite"),
        ([-60, 0, 31.5, 0, 58, 23.5, 0, 0, 1], "above 0"),
    ],
)
def test_what_k_cannot_be_is_said_with_a_remedy(k: list[float], words: str) -> None:
    why = why_implausible(np.array(k, np.float64).reshape(3, 3), *SIZE)
    assert why is not None and words in str(why)
    assert why.expected and why.remedy
    assert words in refusal(info(k=k))


def test_plausible_cameras_are_left_alone() -> None:
    for k in (
        [25.0, 0, 21.5, 0, 20.0, 11.5, 0, 0, 1],  # off its middle by a fifth, pixels not square
        [9.0, 0, 15.5, 0, 9.0, 11.5, 0, 0, 1],
        [300.0, 0, 14.0, 0, 301.0, 12.0, 0, 0, 1],
    ):
        calibrated(np.array(k).reshape(3, 3), 32, 24)


@pytest.mark.parametrize("model", ["omnidirectional", "mei", "double_sphere", "fov", "thin_prism_fisheye", "ftheta"])
def test_unknown_lenses_are_refused_even_with_coefficients_of_zero(model: str) -> None:
    assert "expected plumb_bob" in refusal(info(distortion_model=model, d=[0.0] * 4))
    assert read_camera_info(info(distortion_model=model, d=[0.1] * 4), is_rectified=True).is_pinhole


def test_coefficients_of_a_wrong_number_or_value_are_refused() -> None:
    for model, d in (("plumb_bob", [0.1]), ("plumb_bob", [0.1] * 6), ("equidistant", [0.0] * 5), ("", [math.nan] * 5)):
        assert "expected" in refusal(info(distortion_model=model, d=d))
    assert lens_of("", []) == lens_of("plumb_bob", [0.0] * 5) == lens_of("rational_polynomial", [0.0] * 8) == PINHOLE
    assert "skew" in refusal(info(d=[0.1, 0, 0, 0, 0], k=[60.0, 5, 31.5, 0, 58, 23.5, 0, 0, 1]))


def test_a_region_outside_the_picture_and_a_mirroring_r_are_refused() -> None:
    assert "region of interest of 40x32 at (30, 0)" in refusal(
        info(roi=SimpleNamespace(x_offset=30, y_offset=0, width=40, height=32))
    )
    assert "rotation" in refusal(info(r=np.diag([1.0, 1, -1]).reshape(-1)))
    assert "binning" in refusal(info(binning_x=100))


def test_the_second_camera_of_a_stereo_pair_needs_to_be_told_whose_frame_it_names() -> None:
    right = info(p=np.hstack([K, [[-60 * 0.12], [0], [0]]]).reshape(-1))
    with pytest.raises(SrayError, match=r"P\[0,3\] = -7.2.*0.120 m beside the first.*camera.stereo_frame"):
        optical_center(right, "")
    np.testing.assert_array_equal(optical_center(right, "own"), np.eye(4))
    shift = optical_center(right, "first")
    # A point of the first camera's frame is seen at P (x, y, z, 1): in the second one's own, at K of it less the shift.
    point = np.array([0.3, 0.1, 2.0, 1.0])
    expected = right.p.reshape(3, 4) @ point
    seen = K @ (np.linalg.inv(shift) @ point)[:3]
    np.testing.assert_allclose(seen / seen[2], expected / expected[2])
    np.testing.assert_array_equal(optical_center(info(), ""), np.eye(4))
    np.testing.assert_array_equal(optical_center(info(p=[0.0] * 12), ""), np.eye(4))
