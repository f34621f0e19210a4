"""Projection (eq. 4), sampling of pictures and features, direction differences: one point at a time."""

from __future__ import annotations

import math

import numpy as np


def project(point, intrinsics, world_from_camera, width, height):
    """(u, v, z, seen) of a world point; (u, v) is None at or behind the camera plane."""
    camera_from_world = np.linalg.inv(np.asarray(world_from_camera, dtype=np.float64))
    in_camera = camera_from_world[:3, :3] @ np.asarray(point, dtype=np.float64) + camera_from_world[:3, 3]
    z = float(in_camera[2])
    if z <= 0:
        return None, None, z, False
    # pi divides by z first, K maps the plane z = 1 to pixels.
    u, v, one = np.asarray(intrinsics, dtype=np.float64) @ [in_camera[0] / z, in_camera[1] / z, 1.0]
    assert abs(one - 1) < 1e-12
    return float(u), float(v), z, bool(-0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5)


def bilinear(picture, column, row):
    """The picture (channels x rows x columns) at a place measured in its own cells, the border continued outwards."""
    _, rows, columns = picture.shape
    column = min(max(column, 0.0), columns - 1.0)
    row = min(max(row, 0.0), rows - 1.0)
    left, top = math.floor(column), math.floor(row)
    right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
    across, down = column - left, row - top
    upper = (1 - across) * picture[:, top, left] + across * picture[:, top, right]
    lower = (1 - across) * picture[:, bottom, left] + across * picture[:, bottom, right]
    return (1 - down) * upper + down * lower


def feature_at(features, u, v):
    """Quarter-resolution features at a pixel: cell i is centered at pixel 4 i."""
    return bilinear(features, u / 4, v / 4)


def color_at(image, u, v):
    """A picture at a pixel: pixel centers are at integers."""
    return bilinear(image, u, v)


def direction_difference(source_center, target_center, point):
    """unit(source -> point) - unit(target -> point), and the dot product of the two."""

    def unit(start):
        difference = [float(p) - float(s) for p, s in zip(point, start, strict=True)]
        length = math.sqrt(sum(value * value for value in difference))
        return [value / length for value in difference]

    source, target = unit(source_center), unit(target_center)
    dot = sum(a * b for a, b in zip(source, target, strict=True))
    return [a - b for a, b in zip(source, target, strict=True)] + [dot]
