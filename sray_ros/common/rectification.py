"""What camera_info says about an image: a pinhole camera, after undistorting where the lens needs it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from sray.errors import ErrorCode, SrayError
from sray.label_space import VOID
from sray_ros.common.conversions import Depth, Picture

_PINHOLE = ("plumb_bob", "rational_polynomial", "")
_FISHEYE = ("equidistant", "fisheye")


@dataclass(frozen=True)
class Calibration:
    """The intrinsics of rectified images, and how to rectify."""

    intrinsics: NDArray[np.float64]
    """K, (3, 3), of the rectified image."""
    width: int
    height: int
    distortion: tuple[float, ...] = ()
    """Empty: the image is a pinhole's already."""
    is_fisheye: bool = False


def read_camera_info(message: CameraInfo, is_rectified: bool) -> Calibration:
    """Raises SrayError BAD_CAMERA_INFO for an uncalibrated camera, an unknown lens model, binning or a region."""
    if message.k[0] == 0:
        raise _bad("K[0] = 0, so the camera is uncalibrated; expected a focal length in pixels. Calibrate the camera")
    if message.width == 0 or message.height == 0:
        raise _bad(f"size {message.width}x{message.height}; expected the image's size")
    if max(message.binning_x, message.binning_y) > 1 or (message.roi.width and message.roi.width != message.width):
        raise _bad("binning or a region of interest; expected whole images. Crop and scale with image_proc, or not")
    k = np.array(message.p, np.float64).reshape(3, 4)[:, :3] if is_rectified else np.array(message.k).reshape(3, 3)
    if not (np.isfinite(k).all() and k[0, 0] > 0 and k[1, 1] > 0 and abs(k[2, 2] - 1) < 1e-6):
        raise _bad(f"{'P' if is_rectified else 'K'} = {k.tolist()}; expected finite values and focal lengths above 0")
    distortion = () if is_rectified or not any(message.d) else tuple(float(value) for value in message.d)
    if distortion and message.distortion_model not in (*_PINHOLE, *_FISHEYE):
        raise _bad(
            f"distortion model {message.distortion_model!r}; expected plumb_bob, rational_polynomial or equidistant, "
            "or a rectified topic with camera.rectified"
        )
    if not np.isfinite(distortion).all():
        raise _bad(f"D = {distortion}; expected finite values")
    is_fisheye = message.distortion_model in _FISHEYE
    expected = (4,) if is_fisheye else (4, 5, 8, 12, 14)
    if distortion and len(distortion) not in expected:
        raise _bad(f"{len(distortion)} values in D; expected {' or '.join(map(str, expected))} for this model")
    return Calibration(k, int(message.width), int(message.height), distortion, is_fisheye)


def check_size(calibration: Calibration, picture: Picture) -> None:
    """Raises SrayError BAD_CAMERA_INFO if the image is not of the size that camera_info speaks of."""
    height, width = picture.shape[:2]
    if (width, height) != (calibration.width, calibration.height):
        raise _bad(
            f"size {calibration.width}x{calibration.height}, but the image is {width}x{height}; expected the same. "
            "Remap camera_info to the one that belongs to the image"
        )


class Rectifier:
    """Undistorts with OpenCV; the tables of the last calibration are kept, since they cost more than the pictures."""

    def __init__(self) -> None:
        self._calibration: Calibration | None = None
        self._tables: tuple[NDArray[np.generic], NDArray[np.generic]] | None = None

    def picture(self, calibration: Calibration, picture: Picture) -> Picture:
        return self._remap(calibration, picture, cv2.INTER_LINEAR, 0.0)

    def depth(self, calibration: Calibration, depth: Depth) -> Depth:
        """Nearest, as depths on both sides of an edge have no mean; NaN outside."""
        return self._remap(calibration, depth, cv2.INTER_NEAREST, float("nan"))

    def labels(self, calibration: Calibration, labels: Picture) -> Picture:
        """Nearest, as classes have no mean either; unlabelled outside."""
        return self._remap(calibration, labels, cv2.INTER_NEAREST, float(VOID))

    def _remap(self, calibration: Calibration, image: NDArray, interpolation: int, outside: float) -> NDArray:
        if not calibration.distortion:
            return image
        known = self._calibration
        if self._tables is None or known is None or not _same(known, calibration):
            initialise = cv2.fisheye.initUndistortRectifyMap if calibration.is_fisheye else cv2.initUndistortRectifyMap
            k, d = calibration.intrinsics, np.array(calibration.distortion)
            self._tables = initialise(k, d, np.eye(3), k, (calibration.width, calibration.height), cv2.CV_32FC1)
            self._calibration = calibration
        remapped: NDArray = cv2.remap(
            image, *self._tables, interpolation, borderMode=cv2.BORDER_CONSTANT, borderValue=outside
        )
        return remapped


def _same(a: Calibration, b: Calibration) -> bool:
    return np.array_equal(a.intrinsics, b.intrinsics) and (a.width, a.height, a.distortion, a.is_fisheye) == (
        b.width,
        b.height,
        b.distortion,
        b.is_fisheye,
    )


def _bad(what: str) -> SrayError:
    return SrayError(ErrorCode.BAD_CAMERA_INFO, f"camera_info has {what}")
