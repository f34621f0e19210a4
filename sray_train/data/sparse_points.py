"""Near and far of a scene from the points that its poses were computed with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sray.sampling import Bounds
from sray_train.data.picture_files import Photograph

OUTLIERS = 0.01
"""Share of the points, at either end, that are matched wrongly."""
MARGIN = 1.25
FEWEST = 20


def bounds_of_points(points: NDArray[np.float64], photographs: Sequence[Photograph]) -> Bounds | None:
    """Camera z, in the scene's own unit, of points (points, 3) where pictures show them; None if they show too few."""
    depths = []
    for each in photographs:
        pose, calibration = each.world_from_camera, each.calibration
        seen = (points - pose[:3, 3]) @ pose[:3, :3]
        seen = seen[seen[:, 2] > 1e-6]
        pixels = seen @ calibration.intrinsics.T
        u, v = pixels[:, 0] / pixels[:, 2], pixels[:, 1] / pixels[:, 2]
        depths.append(seen[(u > 0) & (u < calibration.width) & (v > 0) & (v < calibration.height), 2])
    known = np.concatenate(depths) if depths else np.zeros(0)
    if len(known) < FEWEST:
        return None
    near, far = np.quantile(known, (OUTLIERS, 1 - OUTLIERS))
    return float(near) / MARGIN, float(far) * MARGIN
