"""Calibration: what is known of a camera, and the pinhole camera that its pictures become.

One description for every entrance: camera_info of a node or a bag, a recorded folder, `.sens`, transforms.json, COLMAP.
It says which lenses are known, whether K can be of these pictures, and what K is for a part or a smaller copy of them.
`sray.rectification` undistorts.

Conventions are those of `sray.camera`: pixels, their centers at integers; OpenCV's order of distortion coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from sray.camera import Camera
from sray.errors import CalibrationError, SrayError

Matrix = NDArray[np.float64]

BROWN_CONRADY = (
    "plumb_bob",
    "rational_polynomial",
    "brown_conrady",
    "radtan",
    "opencv",
    "full_opencv",
    "radial",
    "simple_radial",
)
"""Radial and tangential distortion: k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tau_x tau_y]]]], OpenCV's `calib3d`."""
FISHEYE = ("equidistant", "fisheye", "kannala_brandt", "opencv_fisheye")
"""Equidistant, k1 k2 k3 k4, OpenCV's `fisheye`. All four 0 is no pinhole: the radius grows with the angle itself."""
WITHOUT_DISTORTION = ("", "none", "pinhole", "simple_pinhole", "perspective")
"""No lens. With coefficients they are taken for Brown and Conrady's, as drivers that leave the name empty mean them."""
SUPPORTED = "plumb_bob (4 or 5 values), rational_polynomial (8, 12 or 14) or equidistant (4)"
"""For messages: the lens models by the names that ROS gives them, and how many coefficients each has."""

NEAR_MIDDLE = 0.22
"""How far from the middle the principal point may be, as a share of the picture's side. A lens is within a twentieth;
K of pictures that are half as large, or half as large again, is off by a quarter."""
TURNED = 0.1
"""Distance beyond which K is of turned pictures, if it is in the middle of those; 4:3 turned by 90 degrees is 0.17."""
SHORTEST, LONGEST = 0.25, 10.0
"""Focal length over the picture's width: 127 degrees across (more needs a fisheye), and 6."""
LARGEST = 1e9
"""Pixels; no sensor has so many, and what is computed of it leaves the range of numbers."""
SQUEEZED = 1.5
"""fx over fy, or fy over fx, at most: pixels that are not square come from squeezed pictures, 16:9 into 4:3 is 1.33."""
SAME_ASPECT = 0.02
"""By which aspects may differ and still be one: ScanNet's depth (640x480) is 0.4 % off its color (1296x968)."""


@dataclass(frozen=True)
class Lens:
    """How far a lens is from a pinhole."""

    coefficients: tuple[float, ...] = ()
    """OpenCV's order; empty: a pinhole."""
    is_fisheye: bool = False

    @property
    def is_pinhole(self) -> bool:
        return not self.is_fisheye and not any(self.coefficients)


PINHOLE = Lens()


def lens_of(model: str, coefficients: Sequence[float]) -> Lens:
    """The lens of a model's name, as ROS, OpenCV, COLMAP or nerfstudio write it, and its coefficients.

    Raises CalibrationError for a model that is not known here, even with coefficients of 0: an ideal fisheye
    or a unified camera is no pinhole.
    """
    name = model.strip().lower().replace("-", "_").replace(" ", "_")
    values = tuple(float(value) for value in coefficients)
    if name not in (*BROWN_CONRADY, *FISHEYE, *WITHOUT_DISTORTION):
        raise CalibrationError(
            f"distortion model {model[:40]!r}",
            SUPPORTED,
            "Undistort the pictures before, and say so (camera.rectified with P of camera_info; pinhole and no "
            "coefficients in a file)",
        )
    if not np.isfinite(values).all():
        raise CalibrationError(f"D = {values}", "finite values", "Calibrate the camera again")
    is_fisheye = name in FISHEYE
    expected = (0, 4) if is_fisheye else (0, 4, 5, 8, 12, 14)
    if len(values) not in expected and (is_fisheye or any(values)):
        raise CalibrationError(
            f"{len(values)} values in D for distortion model {model!r}",
            SUPPORTED,
            "Name the model that the camera was calibrated with",
        )
    if is_fisheye:
        return Lens(values or (0.0,) * 4, is_fisheye=True)
    return Lens(values) if any(values) else PINHOLE


@dataclass(frozen=True)
class Calibration:
    """A camera as calibrated. Make one with `calibrated`, which refuses what cannot be right."""

    intrinsics: Matrix
    """K, (3, 3): of the pictures as they come, and of the pinhole camera that they become."""
    width: int
    height: int
    lens: Lens = PINHOLE
    rotation: Matrix = field(default_factory=lambda: np.eye(3))
    """R, (3, 3): rectified from unrectified camera axes, of a stereo pair that was aligned; else the identity."""

    @property
    def is_pinhole(self) -> bool:
        """Pictures are used as they come."""
        return self.lens.is_pinhole and not self.is_turned

    @property
    def is_turned(self) -> bool:
        return not np.allclose(self.rotation, np.eye(3), atol=1e-9)

    def camera(self, world_from_camera: Matrix) -> Camera:
        """The pinhole camera of rectified pictures, at a pose (4, 4)."""
        return Camera.at(world_from_camera, torch.from_numpy(self.intrinsics).float(), self.width, self.height)

    def cropped(self, left: int, top: int, width: int, height: int) -> Calibration:
        """Of the part of each picture that begins at pixel (left, top).

        Raises CalibrationError if that is not inside the picture.
        """
        if min(left, top) < 0 or min(width, height) < 1 or left + width > self.width or top + height > self.height:
            raise CalibrationError(
                f"a region of interest of {width}x{height} at ({left}, {top}) in {self.width}x{self.height} pixels",
                "one inside the full picture, whose size width and height are",
                "Correct camera_info",
            )
        intrinsics = self.intrinsics.copy()
        intrinsics[:2, 2] -= left, top
        return replace(self, intrinsics=intrinsics, width=width, height=height)

    def resized(self, width: int, height: int) -> Calibration:
        """Of the same pictures at another size: c' = s (c + 0.5) - 0.5. A lens bends rays, not pixels, so it stays."""
        intrinsics = self.intrinsics.copy()
        for row, scale in ((0, width / self.width), (1, height / self.height)):
            intrinsics[row] *= scale
            intrinsics[row, 2] = scale * (self.intrinsics[row, 2] + 0.5) - 0.5
        return replace(self, intrinsics=intrinsics, width=width, height=height)

    def fits(self, width: int, height: int) -> bool:
        """Whether pictures of this size can be this camera's, resized or not: of its aspect, to the pixel."""
        return height == round(self.height * width / self.width) or width == round(self.width * height / self.height)

    def of_pictures(self, width: int, height: int) -> Calibration:
        """For pictures of this size: itself, or scaled if they have exactly its aspect.

        Raises CalibrationError for any other size: they may have been cropped, which changes K otherwise.
        """
        if (width, height) == (self.width, self.height):
            return self
        if not self.fits(width, height):
            raise CalibrationError(
                f"size {self.width}x{self.height}, but the image is {width}x{height}, of another shape",
                "the calibration of these pictures",
                "Take the one that belongs to them, or calibrate at this size",
            )
        return self.resized(width, height)


def calibrated(
    intrinsics: Matrix, width: int, height: int, lens: Lens = PINHOLE, rotation: Matrix | None = None
) -> Calibration:
    """A calibration that can be right.

    Raises CalibrationError, with what was found, what was expected and what to do, if K cannot be one of
    pictures of this size (`why_implausible`), or if R is no rotation.
    """
    k = np.array(intrinsics, np.float64)
    if why := why_implausible(k, width, height):
        raise why
    if not lens.is_pinhole and abs(k[0, 1]) > 1e-6:
        raise CalibrationError(f"a skew of {k[0, 1]:g} beside distortion", "K[0,1] = 0", "Calibrate without skew")
    r = np.eye(3) if rotation is None else np.array(rotation, np.float64)
    if not (np.abs(r) < 2).all() or np.abs(r @ r.T - np.eye(3)).max() > 1e-2 or np.linalg.det(r) < 0:
        raise CalibrationError(f"R = {np.round(r, 3).tolist()}", "a rotation", "Calibrate the stereo pair again")
    return Calibration(k, int(width), int(height), lens, r)


def why_implausible(k: Matrix, width: int, height: int) -> CalibrationError | None:
    """Why K (3, 3) cannot be of pictures of this size; None if it can."""
    if not (width > 0 and height > 0):
        return CalibrationError(f"size {width}x{height}", "the picture's size in pixels", "Set width and height")
    shown = f"K = {np.round(k, 3).tolist()}"
    if k[0, 0] == 0:
        what = "K[0] = 0, so the camera is uncalibrated"
        return CalibrationError(what, "a focal length in pixels", "Calibrate the camera")
    if not ((np.abs(k) < LARGEST).all() and k[0, 0] > 0 and k[1, 1] > 0):
        return CalibrationError(shown, "finite values and focal lengths above 0", "Calibrate the camera")
    if np.abs(k[2] - (0, 0, 1)).max() > 1e-6 or abs(k[1, 0]) > 1e-6:
        return CalibrationError(shown, "fx s cx / 0 fy cy / 0 0 1, row by row", "Write K so")
    fx, fy, size = k[0, 0], k[1, 1], f"{width}x{height}"
    principal = f"principal point ({k[0, 2]:.1f}, {k[1, 2]:.1f}) in pictures of {size}"
    if off_middle(k, width, height) > NEAR_MIDDLE:
        return CalibrationError(
            principal + _other_size((k[:2, 2] + 0.5) / (width, height), width, height),
            f"it near their middle, within {100 * NEAR_MIDDLE:.0f} % of each side",
            "Give K of pictures of this size; if they are cut out of larger ones, give the full size and the region of "
            "interest",
        )
    if off_middle(k, width, height) > TURNED and off_middle(k, height, width) < TURNED / 2:
        return CalibrationError(
            f"{principal}, the middle of pictures turned by 90 degrees",
            "it near their middle",
            "Turn the pictures, or K and the poses",
        )
    if not SHORTEST <= fx / width <= LONGEST:
        return CalibrationError(
            f"focal length {fx:.1f} px in pictures of {size}",
            f"{SHORTEST * width:.0f} to {LONGEST * width:.0f} (a quarter to ten times the width)",
            "Give it in pixels, of pictures of this size",
        )
    if not 1 / SQUEEZED <= fx / fy <= SQUEEZED:
        return CalibrationError(
            f"focal lengths {fx:.1f} and {fy:.1f} px",
            f"them about the same, at most {SQUEEZED:g} times each other",
            "Give K of pictures of this size",
        )
    return None


def off_middle(k: Matrix, width: int, height: int) -> float:
    """Distance of the principal point of K (3, 3) from the middle, as a share of the side, the larger of both axes."""
    return float(np.abs((k[:2, 2] + 0.5) / (width, height) - 0.5).max())


def same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (width, height) are of one aspect, to 2 %: one picture may then be resized to the other."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= SAME_ASPECT


@contextmanager
def said_by(source: str, kind: type[SrayError] = CalibrationError) -> Iterator[None]:
    """Errors of a calibration name where it came from, a message or a file, and are of that one's kind."""
    try:
        yield
    except CalibrationError as error:
        raise kind(f"{source} has {error.found}", error.expected, error.remedy) from error


def _other_size(middle: Matrix, width: int, height: int) -> str:
    """In words: the size in whose middle the principal point is, if it is that of larger or smaller pictures."""
    factors = 2 * middle
    if min(factors) <= 0 or not 0.9 < factors[0] / factors[1] < 1.1:
        return ""
    return f", the middle of pictures of about {width * factors[0]:.0f}x{height * factors[1]:.0f}"
