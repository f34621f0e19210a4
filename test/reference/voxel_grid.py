"""Semantic voxels read aloud: a dictionary of voxels updated one sighting at a time; rays tried against every voxel."""

from __future__ import annotations

import math


def fuse(sightings, size):
    """Bayes' rule. `sightings`: lists of (xyz, color, likelihood of each class). A sighting's points in one voxel
    count as one look, whose likelihood is their geometric mean.

    Returns {cell: (posterior, color, sightings)}.
    """
    voxels = {}
    for sighting in sightings:
        looks = {}
        for xyz, color, likelihood in sighting:
            looks.setdefault(tuple(math.floor(value / size) for value in xyz), []).append((color, likelihood))
        for cell, points in looks.items():
            classes = len(points[0][1])
            prior, colors = voxels.get(cell, ([1 / classes] * classes, []))
            look = [math.prod(p[1][c] for p in points) ** (1 / len(points)) for c in range(classes)]
            joint = [prior[c] * look[c] for c in range(classes)]
            colors = [*colors, [sum(p[0][axis] for p in points) / len(points) for axis in range(3)]]
            voxels[cell] = ([value / sum(joint) for value in joint], colors)
    return {
        cell: (posterior, [sum(c[axis] for c in colors) / len(colors) for axis in range(3)], len(colors))
        for cell, (posterior, colors) in voxels.items()
    }


def occupied(cells, views, size, hits):
    """Cells whose odds of being occupied are above 1. `hits`: sightings of each cell. `views`: (project, depth), where
    `project` takes a point to (column, row, z, seen) and depth is rows of meters, or NaN.
    """
    kept = []
    for cell, sightings in zip(cells, hits, strict=True):
        odds = (0.7 / 0.3) ** sightings
        for project, depth in views:
            column, row, z, seen = project([(value + 0.5) * size for value in cell])
            if seen and depth[round(row)][round(column)] > z + math.sqrt(3) * size:
                odds *= 0.4 / 0.6
        if odds > 1:
            kept.append(tuple(cell))
    return kept


def first_voxel(origin, direction, cells, size, near, far):
    """(position in `cells`, entry, exit) of the voxel that a ray meets first within near to far, or None."""
    best = None
    for index, cell in enumerate(cells):
        entry, leaving = near, math.inf
        for axis in range(3):
            low, high = cell[axis] * size, (cell[axis] + 1) * size
            if direction[axis] == 0:
                if not low <= origin[axis] < high:
                    entry = math.inf
                continue
            crossings = sorted([(low - origin[axis]) / direction[axis], (high - origin[axis]) / direction[axis]])
            entry, leaving = max(entry, crossings[0]), min(leaving, crossings[1])
        if entry < min(leaving, far) and (best is None or entry < best[1]):
            best = (index, entry, leaving)
    return best
