"""Voxel fusion read aloud: a dictionary of voxels, one point at a time, in double precision."""

from __future__ import annotations

import math

from reference.projection import project


def fuse(clouds, voxel_size, max_voxels):
    """Fuse clouds, each a list of (xyz, rgb, label, confidence); label 255 is void.

    Returns {voxel: (xyz, rgb, label, confidence, sightings)}.
    """
    voxels = {}
    for sighting, cloud in enumerate(clouds):
        falling_in = {}
        for point in cloud:
            if point[2] != 255:
                falling_in.setdefault(tuple(math.floor(value / voxel_size) for value in point[0]), []).append(point)
        for key, points in falling_in.items():
            voxel = voxels.setdefault(key, {"xyz": [], "rgb": [], "evidence": {}, "sightings": 0, "last": -1})
            voxel["xyz"].append(mean(point[0] for point in points))
            voxel["rgb"].append(mean(point[1] for point in points))
            for _, _, label, confidence in points:
                voxel["evidence"][label] = voxel["evidence"].get(label, 0.0) + confidence / len(points)
            voxel["sightings"] += 1
            voxel["last"] = sighting
        while len(voxels) > max_voxels:  # the longest unseen, then the least often seen, then the lowest coordinates
            del voxels[min(voxels, key=lambda key: (voxels[key]["last"], voxels[key]["sightings"], key))]
    fused = {}
    for key, voxel in voxels.items():
        label = min(voxel["evidence"], key=lambda label: (-voxel["evidence"][label], label))
        confidence = voxel["evidence"][label] / voxel["sightings"]
        fused[key] = (mean(voxel["xyz"]), mean(voxel["rgb"]), label, confidence, voxel["sightings"])
    return fused


def supported(fused, least_sightings, least_neighbors):
    """What is seen often enough, and of that what has enough of it around (26 voxels touch one)."""
    confirmed = {key: voxel for key, voxel in fused.items() if voxel[4] >= least_sightings}

    def neighbors(key):
        near = [other for other in confirmed if all(abs(a - b) <= 1 for a, b in zip(key, other, strict=True))]
        return len(near) - 1  # itself

    return {key: voxel for key, voxel in confirmed.items() if neighbors(key) >= least_neighbors}


def looked_through(points, intrinsics, world_from_camera, depth, clearance, voxel_size):
    """Which points lie well before the nearest of the 3 x 3 depths around their pixel, all of which are known.

    `depth`: rows of meters, 0 where unknown.
    """
    height, width = len(depth), len(depth[0])
    passed = []
    for point in points:
        u, v, z, seen = project(point, intrinsics, world_from_camera, width, height)
        if not seen:
            passed.append(False)
            continue
        column, row = round(u), round(v)
        around = [
            depth[y][x]
            for y in range(max(0, row - 1), min(height, row + 2))
            for x in range(max(0, column - 1), min(width, column + 2))
        ]
        passed.append(z < (1 - clearance) * min(around) - voxel_size)
    return passed


def mean(vectors):
    vectors = list(vectors)
    return [sum(vector[axis] for vector in vectors) / len(vectors) for axis in range(3)]
