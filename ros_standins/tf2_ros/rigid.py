"""Rigid transforms as plain tuples: a translation (x, y, z) in meters and a unit quaternion (x, y, z, w).

Tuples and not arrays: a look-up is a handful of multiplications, and NumPy's call overhead would be most of its time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Rigid(NamedTuple):
    """parent_from_child: a point p of the child frame is rotation * p + translation in the parent frame."""

    translation: Vector = (0.0, 0.0, 0.0)
    rotation: Quaternion = (0.0, 0.0, 0.0, 1.0)

    def __matmul__(self, other: Rigid) -> Rigid:
        """First `other`, then this one."""
        return Rigid(
            add(rotate(self.rotation, other.translation), self.translation), multiply(self.rotation, other.rotation)
        )

    def inverse(self) -> Rigid:
        x, y, z, w = self.rotation
        back = (-x, -y, -z, w)
        tx, ty, tz = rotate(back, self.translation)
        return Rigid((-tx, -ty, -tz), back)


def add(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """The rotation that turns by b first, then by a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def rotate(q: Quaternion, v: Vector) -> Vector:
    x, y, z, w = q
    # t = 2 q x v, and then v + w t + q x t: two cross products instead of two quaternion products
    tx = 2.0 * (y * v[2] - z * v[1])
    ty = 2.0 * (z * v[0] - x * v[2])
    tz = 2.0 * (x * v[1] - y * v[0])
    return (v[0] + w * tx + y * tz - z * ty, v[1] + w * ty + z * tx - x * tz, v[2] + w * tz + x * ty - y * tx)


def canonical(q: Quaternion) -> Quaternion:
    """Unit length, and of q and -q the one that tf2 hands out.

    tf2 keeps rotations as matrices: what it returns has w > 0 where w is well away from zero (|w| > 1/2),
    and else a positive largest component.
    """
    length = math.sqrt(sum(part * part for part in q))
    x, y, z, w = (part / length for part in q)
    leading = w if abs(w) > 0.5 else max((x, y, z), key=abs)
    return (x, y, z, w) if leading >= 0.0 else (-x, -y, -z, -w)


def slerp(a: Quaternion, b: Quaternion, ratio: float) -> Quaternion:
    """Turns at constant speed from a (ratio 0) to b (ratio 1) along the shorter arc."""
    cosine = sum(p * q for p, q in zip(a, b, strict=True))
    sign = 1.0
    if cosine < 0.0:
        cosine, sign = -cosine, -1.0
    angle = math.acos(min(cosine, 1.0))
    if angle < 1e-9:  # the weights below become 0 / 0; the rotations are equal to the last digits
        return a
    share_a = math.sin((1.0 - ratio) * angle) / math.sin(angle)
    share_b = sign * math.sin(ratio * angle) / math.sin(angle)
    x, y, z, w = (share_a * p + share_b * q for p, q in zip(a, b, strict=True))
    return x, y, z, w


def interpolate(a: Rigid, b: Rigid, ratio: float) -> Rigid:
    """Linear in translation, slerp in rotation."""
    x, y, z = (p + (q - p) * ratio for p, q in zip(a.translation, b.translation, strict=True))
    return Rigid((x, y, z), slerp(a.rotation, b.rotation, ratio))
