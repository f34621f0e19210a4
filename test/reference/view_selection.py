"""View selection read aloud: every candidate, every point of the target's frustum, in double precision."""

from __future__ import annotations

import math

import numpy as np


def costs(target, candidates, width, height, near, far, overlap_counts):
    """(cost, overlap) of each candidate; the cost with or without what is out of sight.

    Cameras are (K, world_from_camera), all of one image size.
    """
    points = frustum(target, width, height, near, far)
    answers = []
    for candidate in candidates:
        distance = math.dist(candidate[1][:3, 3], target[1][:3, 3])
        cosine = sum(candidate[1][axis, 2] * target[1][axis, 2] for axis in range(3))
        angle = math.acos(min(1.0, max(-1.0, cosine)))
        overlap = sum(sees(candidate, point, width, height) for point in points) / len(points)
        cost = distance + angle / math.radians(45)
        answers.append((cost + 2 * (1 - overlap) if overlap_counts else cost, overlap))
    return answers


def select(target, candidates, width, height, near, far, count, excluded, min_overlap, selection):
    """Indices of the `count` cheapest that are not excluded and see enough; the lower index first among equals."""
    scored = costs(target, candidates, width, height, near, far, selection == "pose_score")
    allowed = [index for index, (_, overlap) in enumerate(scored) if overlap >= min_overlap and not excluded[index]]
    return sorted(allowed, key=lambda index: (scored[index][0], index))[:count]


def frustum(camera, width, height, near, far):
    """8 x 6 pixels at 4 depths, in the middle of equal parts of the image and of log z."""
    points = []
    for i in range(8):
        for j in range(6):
            pixel = np.array([(i + 0.5) / 8 * width - 0.5, (j + 0.5) / 6 * height - 0.5, 1.0])
            for k in range(4):
                depth = near * (far / near) ** ((k + 0.5) / 4)
                in_camera = depth * (np.linalg.inv(camera[0]) @ pixel)
                points.append(camera[1][:3, :3] @ in_camera + camera[1][:3, 3])
    return points


def sees(camera, point, width, height):
    in_camera = camera[1][:3, :3].T @ (point - camera[1][:3, 3])
    if in_camera[2] <= 1e-6:
        return False
    u, v, _ = camera[0] @ in_camera / in_camera[2]
    return -0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5
