"""The stereo sweep read aloud: one plane, one cell, one partner, one channel at a time, in double precision."""

from __future__ import annotations

import numpy as np
from reference.projection import feature_at, project


def agreement(reference, partners, camera, partner_cameras, depths):
    """`reference`: channels x rows x columns; cameras: (K, world_from_camera, width, height).

    Returns mean and best correlation, and the share of partners that see the cell: 3 x planes x rows x columns.
    """
    channels, rows, columns = reference.shape
    intrinsics, pose, _, _ = camera
    backward = np.linalg.inv(intrinsics)
    result = np.zeros((3, len(depths), rows, columns))
    for plane, depth in enumerate(depths):
        for row in range(rows):
            for column in range(columns):
                in_camera = depth * (backward @ np.array([4.0 * column, 4.0 * row, 1.0]))
                point = pose[:3, :3] @ in_camera + pose[:3, 3]
                found = []
                for partner, features in zip(partner_cameras, partners, strict=True):
                    u, v, _, seen = project(point, *partner)
                    if seen:
                        there = feature_at(features, u, v)
                        found.append(sum(float(there[c] * reference[c, row, column]) for c in range(channels)))
                if found:
                    result[:, plane, row, column] = sum(found) / len(found), max(found), len(found) / len(partners)
    return result
