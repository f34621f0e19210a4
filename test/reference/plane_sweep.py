"""Plane sweep read aloud: one plane, one cell, one view, one channel at a time, in double precision.

A voxel of the reference's cell at a plane's depth is projected into every other view; the variance is over the views
that see it, the reference among them.
"""

from __future__ import annotations

import numpy as np
from reference.projection import feature_at, project


def matched(maps, cameras, reference, others, depths):
    """`maps`: views x channels x rows x columns; `cameras`: (K, world_from_camera, width, height) each.

    Returns variance and mean (channels x planes x rows x columns) and how many views see each voxel.
    """
    _, channels, rows, columns = maps.shape
    intrinsics, pose, _, _ = cameras[reference]
    backward = np.linalg.inv(intrinsics)
    variance = np.zeros((channels, len(depths), rows, columns))
    means = np.zeros_like(variance)
    count = np.zeros((len(depths), rows, columns))
    for plane, depth in enumerate(depths):
        for row in range(rows):
            for column in range(columns):
                in_camera = depth * (backward @ np.array([4.0 * column, 4.0 * row, 1.0]))
                point = pose[:3, :3] @ in_camera + pose[:3, 3]
                found = [maps[reference][:, row, column]]
                for other in others:
                    u, v, _, seen = project(point, *cameras[other])
                    if seen:
                        found.append(feature_at(maps[other], u, v))
                count[plane, row, column] = len(found)
                for channel in range(channels):
                    values = [float(each[channel]) for each in found]
                    mean = sum(values) / len(values)
                    means[channel, plane, row, column] = mean
                    variance[channel, plane, row, column] = sum((value - mean) ** 2 for value in values) / len(values)
    return variance, means, count
