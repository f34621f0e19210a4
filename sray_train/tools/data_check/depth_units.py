"""Units that depth and poses are known to come in by mistake, and which of the two a factor between them points at."""

from __future__ import annotations

import math
from dataclasses import dataclass

ROOM = (0.3, 8.0)
"""Median depth (m) of a recording indoors lies between these."""

DEPTH_UNITS = {
    1 / 5: "1/5 mm (TUM RGB-D stores 5000 a meter)",
    1 / 10: "1/10 mm",
    1 / 4: "1/4 mm (4000 a meter)",
    1000 / 6553.5: "65535 for 10 m (6553.5 a meter, some Replica exports)",
    1000 / 256: "1/256 m (as KITTI)",
    10.0: "centimeters",
    1000.0: "meters",
    1 / 1000: "micrometers",
}
"""What recorded depth must be multiplied with -> what its files hold, where millimeters were expected."""

POSE_UNITS = {1000.0: "millimeters", 100.0: "centimeters", 39.37: "inches", 3.281: "feet", 1 / 1000: "kilometers"}
"""How many times too large the translations are -> what they are in, where meters were expected."""

CLOSE = math.log(1.08)


@dataclass(frozen=True)
class UnitVerdict:
    """Which unit is wrong."""

    at_fault: str
    """`depth` or `poses`."""
    cause: str
    remedy: str


def blame(factor: float, median_depth: float) -> UnitVerdict:
    """Judge a factor: by the poses, depth is `factor` times the recorded one (median, meters).

    Only the ratio can be measured. The culprit is whose mending leaves depths that a room can have; where both would,
    the one whose unit is known.
    """
    depth_unit, pose_unit = _known(DEPTH_UNITS, factor), _known(POSE_UNITS, factor)
    as_is, mended = _indoors(median_depth), _indoors(median_depth * factor)
    if (mended and not as_is) or (mended == as_is and depth_unit is not None):
        unit = f"depth in {DEPTH_UNITS[depth_unit]}" if depth_unit else "depth in another unit"
        cause = f"The files hold {unit} instead of millimeters."
        return UnitVerdict("depth", cause, f"Multiply depth by {depth_unit or factor:.4g} when exporting.")
    if pose_unit:
        cause = f"The translations are in {POSE_UNITS[pose_unit]} instead of meters."
    else:
        cause = "The translations are not in meters (structure from motion has a scale of its own), or depth is not."
    return UnitVerdict("poses", cause, f"Divide the translations of all poses by {pose_unit or factor:.4g}.")


def _known(units: dict[float, str], factor: float) -> float | None:
    """The known factor that this one is, but for what triangulation errs."""
    nearest = min(units, key=lambda unit: abs(math.log(unit / factor)))
    return nearest if abs(math.log(nearest / factor)) < CLOSE else None


def _indoors(depth: float) -> bool:
    return ROOM[0] <= depth <= ROOM[1]
