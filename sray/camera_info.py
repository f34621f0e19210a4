"""Calibrations from the fields of a camera_info message, as a node or a bag's reader has them.

Source: sensor_msgs/CameraInfo. K, D, R and P are those of the full picture, `width` x `height`; `roi` is the part of it
that the image shows, `binning_x` and `binning_y` how many of its pixels became one.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from sray.calibration import Calibration, Matrix, calibrated, lens_of, said_by
from sray.errors import CalibrationError

StereoFrame = Literal["", "own", "first"]
"""What the frame of a stereo pair's second camera is: its own optical center (as most drivers have it), the first
camera's (as the message is defined), or not known, which is refused."""
SHORTEST_BASELINE = 1e-4
"""Meters; less is rounding."""


@runtime_checkable
class CameraInfoFields(Protocol):
    """sensor_msgs/CameraInfo, by its fields."""

    width: Any
    height: Any
    distortion_model: Any
    d: Any
    k: Any
    r: Any
    p: Any
    binning_x: Any
    binning_y: Any
    roi: Any
    """sensor_msgs/RegionOfInterest; width and height 0: the full picture."""


def read_camera_info(info: CameraInfoFields, *, is_rectified: bool = False) -> Calibration:
    """The calibration of the image that comes with this camera_info.

    `is_rectified`: the image is already; P holds its intrinsics, and there is no lens. Otherwise K, D and R.
    Raises CalibrationError for what is missing, not supported here, or cannot be right.
    """
    with said_by("camera_info"):
        return _shown(_full(info, is_rectified), info)


def baseline(info: CameraInfoFields) -> tuple[float, float]:
    """Where the optical center is along x and y, meters, in the frame of a stereo pair's first camera; else zeros.

    Source: P's fourth column, Tx = -fx B: a point of the first camera's frame is seen at P (x, y, z, 1).
    """
    p = _matrix(info.p, 3, 4)
    if not np.isfinite(p).all() or p[0, 0] <= 0 or p[1, 1] <= 0:
        return 0.0, 0.0
    found = -p[0, 3] / p[0, 0], -p[1, 3] / p[1, 1]
    return (0.0, 0.0) if max(map(abs, found)) < SHORTEST_BASELINE else found


def optical_center(info: CameraInfoFields, stereo_frame: StereoFrame) -> Matrix:
    """The camera (4, 4) in the frame that camera_info names: the identity, or shifted by the baseline.

    Raises CalibrationError if there is a baseline, and its frame is not known.
    """
    x, y = baseline(info)
    shift = np.eye(4)
    if not x and not y:
        return shift
    if not stereo_frame:
        raise CalibrationError(
            f"P[0,3] = {float(info.p[3]):.4g}, P[1,3] = {float(info.p[7]):.4g}: it is the second camera of a stereo "
            f"pair, {np.hypot(x, y):.3f} m beside the first",
            "the first one's, where both are 0",
            "Use the first camera, or say with camera.stereo_frame whose optical center the frame of camera_info is: "
            "own, or first",
        )
    if stereo_frame == "first":
        shift[:2, 3] = x, y
    return shift


def _full(info: CameraInfoFields, is_rectified: bool) -> Calibration:
    width, height = int(info.width), int(info.height)
    if is_rectified:
        return calibrated(_matrix(info.p, 3, 4)[:, :3], width, height)
    lens = lens_of(str(info.distortion_model), [float(value) for value in info.d])
    rotation = _matrix(info.r, 3, 3)
    return calibrated(_matrix(info.k, 3, 3), width, height, lens, rotation if rotation.any() else None)


def _shown(full: Calibration, info: CameraInfoFields) -> Calibration:
    """The part of the full picture that is shown, with its pixels binned."""
    region, binning = info.roi, (max(1, int(info.binning_x)), max(1, int(info.binning_y)))
    shown = full
    if int(region.width) or int(region.height):
        size = int(region.width) or full.width, int(region.height) or full.height
        shown = full.cropped(int(region.x_offset), int(region.y_offset), *size)
    if binning == (1, 1):
        return shown
    if shown.width < binning[0] or shown.height < binning[1]:
        raise CalibrationError(f"binning {binning} of {shown.width}x{shown.height} pixels", "pixels to be left")
    whole = shown.width // binning[0] * binning[0], shown.height // binning[1] * binning[1]
    return shown.cropped(0, 0, *whole).resized(whole[0] // binning[0], whole[1] // binning[1])


def _matrix(values: Any, rows: int, columns: int) -> Matrix:
    return np.array(values, np.float64).reshape(rows, columns)
