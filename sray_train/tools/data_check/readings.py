"""Readings of stored poses and intrinsics: what the numbers may mean instead, and how to turn them into what we expect.

We expect world_from_camera with OpenCV axes (x right, y down, z forward), and K of the pictures at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sray.camera import Camera

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PoseReading:
    """One meaning of a stored 4x4 matrix."""

    code: str
    means: str
    """What the files hold, should this reading be right."""
    remedy: str
    convert: Callable[[Array], Array]
    """Stored matrix (4, 4) -> world_from_camera."""


def _axes(*columns: tuple[int, int, int]) -> Array:
    """(4, 4) of the directions of our x, y and z in the other camera frame."""
    matrix: Array = np.eye(4)
    matrix[:3, :3] = np.array(columns).T
    return matrix


OPENGL = _axes((1, 0, 0), (0, -1, 0), (0, 0, -1))
BODY = _axes((0, -1, 0), (0, 0, -1), (1, 0, 0))
LLFF = _axes((0, 1, 0), (1, 0, 0), (0, 0, -1))
LEFT_HANDED = np.diag([1.0, -1.0, 1.0, 1.0])


def _inverted(stored: Array) -> Array:
    return np.asarray(np.linalg.inv(stored), np.float64)


def _transposed(stored: Array) -> Array:
    pose: Array = stored.copy()
    pose[:3, :3] = stored[:3, :3].T
    return pose


def _mixed(stored: Array) -> Array:
    pose: Array = stored.copy()
    pose[:3, 3] = -stored[:3, :3] @ stored[:3, 3]
    return pose


AS_STORED = PoseReading("as-stored", "world_from_camera, OpenCV axes", "", lambda stored: stored)

POSE_READINGS = (
    AS_STORED,
    PoseReading(
        "poses-inverted",
        "camera_from_world (the extrinsics of OpenCV and COLMAP) instead of world_from_camera",
        "invert every pose matrix",
        _inverted,
    ),
    PoseReading(
        "poses-opengl",
        "world_from_camera with OpenGL axes (x right, y up, z backward, as Blender and NeRF write)",
        "negate the second and third column of every pose matrix",
        lambda stored: stored @ OPENGL,
    ),
    PoseReading(
        "poses-inverted-opengl",
        "camera_from_world with OpenGL axes (x right, y up, z backward)",
        "invert every pose matrix, then negate its second and third column",
        lambda stored: _inverted(stored) @ OPENGL,
    ),
    PoseReading(
        "poses-body-axes",
        "poses of a robot's body frame (x forward, y left, z up) instead of the camera's optical frame",
        "multiply every pose from the right with the transform body_from_optical of the robot's description",
        lambda stored: stored @ BODY,
    ),
    PoseReading(
        "poses-llff-axes",
        "world_from_camera with LLFF's axes (x down, y right, z backward)",
        "read the folder as an LLFF dataset, or reorder the columns to right, down, forward",
        lambda stored: stored @ LLFF,
    ),
    PoseReading(
        "poses-left-handed",
        "poses of a left-handed world with y up (Unity)",
        "negate the second row and the second column of every pose matrix",
        lambda stored: LEFT_HANDED @ stored @ LEFT_HANDED,
    ),
    PoseReading(
        "poses-rotation-transposed",
        "the camera's position beside the rotation of camera_from_world",
        "transpose the rotation of every pose matrix (a quaternion read with the wrong sign or order does this)",
        _transposed,
    ),
    PoseReading(
        "poses-translation-inverted",
        "the rotation of world_from_camera beside the translation of camera_from_world",
        "replace the translation t by -R t in every pose matrix",
        _mixed,
    ),
)


@dataclass(frozen=True)
class IntrinsicsReading:
    """One meaning of a stored K, for pictures of one size."""

    code: str
    means: str
    remedy: str
    convert: Callable[[Array], Array]
    """Stored K (3, 3) -> K of the pictures."""


K_AS_STORED = IntrinsicsReading("as-stored", "K of the pictures", "", lambda stored: stored)

FOCAL_FACTORS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 2, 2, 3, 4)
OFF_CENTER = 0.15
"""A principal point further from the middle, as a share of the picture's side, is no lens: a hand-held camera's is
within a twentieth."""


def off_center(camera: Camera) -> float:
    """Distance of the principal point from the middle as a share of the side, the larger of both axes."""
    return float(np.abs(_center(camera) - 0.5).max())


def intrinsics_readings(camera: Camera) -> list[IntrinsicsReading]:
    """The readings of a camera's K that are possible, the stored one first."""
    readings = [K_AS_STORED]
    horizontal, vertical = 0.5 / np.maximum(_center(camera), 1e-3)
    width, height = camera.width / horizontal, camera.height / vertical  # of the pictures that K is centered in
    if max(abs(np.log(horizontal)), abs(np.log(vertical))) > np.log(1.08):
        readings.append(
            IntrinsicsReading(
                "intrinsics-resolution",
                f"K of pictures of about {width:.0f}x{height:.0f}, where these have {camera.width}x{camera.height}",
                f"multiply the first row of K by {horizontal:.4g} and the second by {vertical:.4g} (exactly: the ratio "
                "of the sizes), or export pictures of the size that K was made for",
                lambda stored: _scaled(stored, horizontal, vertical),
            )
        )
        readings.append(
            IntrinsicsReading(
                "intrinsics-turned",
                "K of pictures turned by 90 degrees (its rows are exchanged)",
                "exchange fx and fy, and cx and cy, or turn the pictures back",
                _turned,
            )
        )
    readings += [
        IntrinsicsReading(
            "intrinsics-focal",
            f"focal lengths of another resolution: about {1 / factor:.3g} times those of the pictures",
            f"multiply fx and fy by about {factor:.3g} (exactly: the ratio of the sizes)",
            partial(_focal, factor=factor),
        )
        for factor in FOCAL_FACTORS
    ]
    return readings


def _center(camera: Camera) -> Array:
    principal = camera.intrinsics[:2, 2].double().numpy()
    return np.asarray((principal + 0.5) / (camera.width, camera.height), np.float64)


def _scaled(stored: Array, horizontal: float, vertical: float) -> Array:
    scaled: Array = stored.copy()
    for row, scale in ((0, horizontal), (1, vertical)):
        scaled[row, :2] *= scale
        scaled[row, 2] = scale * (stored[row, 2] + 0.5) - 0.5
    return scaled


def _turned(stored: Array) -> Array:
    turned: Array = np.eye(3)
    turned[0, 0], turned[1, 1] = stored[1, 1], stored[0, 0]
    turned[0, 2], turned[1, 2] = stored[1, 2], stored[0, 2]
    return turned


def _focal(stored: Array, factor: float) -> Array:
    scaled: Array = stored.copy()
    scaled[:2, :2] *= factor
    return scaled
