"""PoseJumps: finds poses that no camera can have moved to: localization was corrected, or two publishers disagree."""

from __future__ import annotations

import math

import numpy as np

from sray_ros.common.poses import Matrix

METERS, METERS_PER_SECOND = 0.5, 10.0
DEGREES, DEGREES_PER_SECOND = 45.0, 720.0
"""How far two consecutive images may lie apart: what a correction may be without harm, and what a robot may move."""
LONGEST_GAP = 2.0
"""Seconds between two images after which nothing can be said."""


class PoseJumps:
    """Looks at the poses of consecutive images."""

    def __init__(self) -> None:
        self._last: tuple[int, Matrix] | None = None

    def forget(self) -> None:
        """Stamps and poses start anew."""
        self._last = None

    def jump(self, stamp_ns: int, map_from_camera: Matrix) -> str | None:
        """How far the camera has jumped since the last image, in words; None if it may have moved so."""
        last, self._last = self._last, (stamp_ns, map_from_camera)
        if last is None or not 0 <= (seconds := (stamp_ns - last[0]) * 1e-9) <= LONGEST_GAP:
            return None
        meters = float(np.linalg.norm(map_from_camera[:3, 3] - last[1][:3, 3]))
        cosine = (float(np.trace(last[1][:3, :3].T @ map_from_camera[:3, :3])) - 1) / 2
        degrees = math.degrees(math.acos(min(1.0, max(-1.0, cosine))))
        if meters <= METERS + METERS_PER_SECOND * seconds and degrees <= DEGREES + DEGREES_PER_SECOND * seconds:
            return None
        return f"the camera's pose jumped by {meters:.2f} m and {degrees:.0f} degrees within {seconds:.3f} s"
