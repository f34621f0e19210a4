"""Poses between ROS messages and 4x4 matrices.

Matrices are named <to>_from_<from>, float64, meters. Optical frames: x right, y down, z forward; body frames (REP 103):
x forward, y left, z up.
"""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import Pose, Transform
from numpy.typing import NDArray

from sray.errors import PoseError

Matrix = NDArray[np.float64]

OPTICAL_FROM_BODY: Matrix = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
"""Body axes seen from the optical frame: forward is +z, left is -x, up is -y."""


def matrix_of_transform(transform: Transform) -> Matrix:
    """Raises PoseError for values that are not finite or a quaternion that is no rotation."""
    t, r = transform.translation, transform.rotation
    return _matrix((t.x, t.y, t.z), (r.x, r.y, r.z, r.w))


def matrix_of_pose(pose: Pose) -> Matrix:
    """Raises PoseError for values that are not finite or a quaternion that is no rotation."""
    p, r = pose.position, pose.orientation
    return _matrix((p.x, p.y, p.z), (r.x, r.y, r.z, r.w))


def pose_of_matrix(matrix: Matrix) -> Pose:
    pose = Pose()
    pose.position.x, pose.position.y, pose.position.z = (float(value) for value in matrix[:3, 3])
    x, y, z, w = quaternion_of(matrix[:3, :3])
    pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w = x, y, z, w
    return pose


def transform_of_matrix(matrix: Matrix) -> Transform:
    pose, transform = pose_of_matrix(matrix), Transform()
    transform.translation.x, transform.translation.y = pose.position.x, pose.position.y
    transform.translation.z, transform.rotation = pose.position.z, pose.orientation
    return transform


def body_pose(world_from_camera: Matrix) -> Pose:
    """The pose with body axes, for RViz, whose arrows point along +x."""
    return pose_of_matrix(world_from_camera @ OPTICAL_FROM_BODY)


def quaternion_of(rotation: Matrix) -> tuple[float, float, float, float]:
    """x, y, z, w of a rotation matrix, w >= 0.

    The eigenvector of the symmetric 4x4 form (Bar-Itzhack 2000): no special cases, and the nearest rotation if the
    matrix is slightly off.
    """
    r = rotation
    form = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    quaternion = np.linalg.eigh(form, UPLO="L")[1][:, -1]
    x, y, z, w = (float(value) for value in quaternion * (-1 if quaternion[3] < 0 else 1))
    return x, y, z, w


def _matrix(translation: tuple[float, float, float], quaternion: tuple[float, float, float, float]) -> Matrix:
    norm = math.sqrt(sum(value * value for value in quaternion))
    if not all(math.isfinite(value) for value in (*translation, norm)) or abs(norm - 1) > 1e-2:
        raise PoseError(
            f"a pose has translation {translation} and quaternion {quaternion}",
            "finite values and a quaternion of length 1 (0, 0, 0, 1 is no rotation)",
        )
    x, y, z, w = (value / norm for value in quaternion)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return matrix
