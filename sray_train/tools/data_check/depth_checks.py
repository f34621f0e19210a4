"""Checks of depth: its range, and its relation to the depth that poses and matched points triangulate.

Their ratio names the unit that depth or poses came in by mistake.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from sray_train.tools.data_check.camera_checks import Geometry
from sray_train.tools.data_check.findings import Finding, listed
from sray_train.tools.data_check.sample import Sample

Array = NDArray[np.float64]

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
"""By which a measured factor may differ from a known one: what triangulation errs by."""
FEWEST_POINTS = 30
SAME_UNIT = math.log(1.25)
"""Triangulation from a few frames is biased by some per cent, never by a quarter."""


@dataclass(frozen=True)
class DepthRelation:
    """Depth as triangulated from the poses, beside depth as recorded, of the same points."""

    triangulated: Array
    """(points,), in the unit of the poses."""
    recorded: Array
    """(points,), meters as read."""

    @property
    def factor(self) -> float:
        return float(np.exp(np.median(np.log(self.triangulated / self.recorded))))

    @property
    def spread(self) -> float:
        """Median relative deviation from that factor."""
        return _deviation(np.log(self.triangulated / self.recorded))

    @property
    def rank_correlation(self) -> float:
        """1 if nearer is nearer in both, -1 if nearer is farther."""
        return float(spearmanr(self.triangulated, self.recorded).statistic)


def relate_depth(geometry: Geometry) -> DepthRelation | None:
    """None if too few matched points have recorded depth and enough parallax to be triangulated."""
    triangulated, recorded = [], []
    for pair in geometry.pairs:
        usable, depth = geometry.triangulated(pair)
        usable = usable & np.isfinite(pair.depth_first) & (pair.depth_first > 0)
        triangulated.append(depth[usable])
        recorded.append(pair.depth_first[usable])
    if sum(len(each) for each in triangulated) < FEWEST_POINTS:
        return None
    return DepthRelation(np.concatenate(triangulated), np.concatenate(recorded))


def check_depth(geometry: Geometry, trusted: bool) -> tuple[list[Finding], dict[str, float]]:
    """What is wrong with depth, and its figures; `trusted`: the poses fit the pictures (under some reading)."""
    sample = geometry.sample
    depths = {
        position: _known(frame.depth.numpy()) for position, frame in sample.frames.items() if frame.depth is not None
    }
    if not depths:
        return [], {}
    findings = list(_constant(sample, depths))
    if findings:
        return findings, {}
    values = np.concatenate(list(depths.values()))
    pixels = sum(frame.depth.numel() for frame in sample.frames.values() if frame.depth is not None)
    known = len(values) / pixels
    if not len(values):
        return [_empty(0.0, len(depths))], {"depth_known": 0.0}
    median = float(np.median(values))
    figures = {"depth_known": known, "depth_median_m": median}
    if known < 0.1:
        findings.append(_empty(known, len(depths)))
    relation = relate_depth(geometry) if trusted else None
    if relation is None:
        return [*findings, *_range(median)], figures
    figures |= {
        "depth_factor": relation.factor,
        "depth_spread": relation.spread,
        "depth_points": len(relation.recorded),
    }
    return [*findings, *_related(geometry, relation, median)], figures


def _related(geometry: Geometry, relation: DepthRelation, median: float) -> Iterator[Finding]:
    factor, spread = relation.factor, relation.spread
    points = f"{len(relation.recorded)} matched points triangulated with the poses"
    figures = {"factor": factor, "spread": spread, "points": len(relation.recorded), "median_depth_m": median}
    if relation.rank_correlation < -0.4:
        yield Finding(
            "depth-inverse",
            "problem",
            "Depth grows where the scene comes nearer.",
            f"rank correlation with the depth of {points}: {relation.rank_correlation:.2f} (expected near 1)",
            "The files hold inverse depth or disparity.",
            "Convert it: depth = focal length x baseline / disparity, or 1 / inverse depth, in millimeters.",
            figures | {"rank_correlation": relation.rank_correlation},
        )
    elif spread > 0.35:
        yield _unrelated(points, relation, figures)
    elif abs(math.log(factor)) > SAME_UNIT:
        verdict = blame(factor, median)
        before, after = reprojection_error(geometry, 1.0), reprojection_error(geometry, factor)
        whose = "Depth is in the wrong unit" if verdict.at_fault == "depth" else "The poses are in the wrong unit"
        yield Finding(
            f"{verdict.at_fault}-unit",
            "problem",
            f"{whose}: depth and poses differ by a factor of {max(factor, 1 / factor):.4g}.",
            f"{points} lie at {factor:.4g} times their recorded depth (median {median:.3g} m; indoors "
            f"{ROOM[0]} to {ROOM[1]} m); reprojection by depth misses by {before:.1f} px as read, {after:.2f} px "
            "with the factor",
            verdict.cause,
            verdict.remedy,
            figures | {"reprojection_px": before, "reprojection_with_factor_px": after},
        )


def reprojection_error(geometry: Geometry, factor: float) -> float:
    """Median over the telling pairs of the median distance (px) of matches from where recorded depth x factor puts
    them; at most the picture's width, NaN without depth."""
    errors = []
    for pair in geometry.telling:
        distance = np.linalg.norm(geometry.own(pair).pixels(pair.depth_first * factor) - pair.pixels_second, axis=1)
        if (known := np.isfinite(pair.depth_first)).any():
            # Points that land behind the second camera are missed by as much as can be.
            errors.append(np.median(np.nan_to_num(distance[known], nan=np.inf)))
    return min(float(np.median(errors)), float(geometry.camera.width)) if errors else math.nan


def _constant(sample: Sample, depths: dict[int, Array]) -> Iterator[Finding]:
    flat = [position for position, values in depths.items() if len(values) and np.ptp(values) < 1e-6]
    if len(flat) < max(1, len(depths) / 4):
        return
    yield Finding(
        "depth-constant",
        "problem",
        "Depth is the same everywhere in many frames.",
        f"{len(flat)} of {len(depths)} sampled frames hold one value: {listed([sample.number(i) for i in flat])}",
        "The depth pictures are placeholders, or were clipped when they were written.",
        "Export depth again as 16-bit PNG in millimeters, or remove the depth folder: RGB alone works.",
        {"frames": [sample.number(i) for i in flat]},
    )


def _range(median: float) -> Iterator[Finding]:
    if 0.5 * ROOM[0] <= median <= 1.5 * ROOM[1]:
        return
    yield Finding(
        "depth-unit",
        "problem",
        "Depth is in the wrong unit.",
        f"its median is {median:.3g} m; indoors {ROOM[0]} to {ROOM[1]} m",
        "The files do not hold millimeters (TUM RGB-D: 1/5 mm; others meters, or 1/10 mm).",
        "Export depth again in millimeters.",
        {"median_depth_m": median},
    )


def _empty(known: float, frames: int) -> Finding:
    return Finding(
        "depth-empty",
        "warning" if known else "problem",
        "Depth is missing almost everywhere.",
        f"{100 * known:.1f} % of the pixels of {frames} sampled frames have depth",
        "The sensor saw nothing (range, sunlight), or the files hold another format.",
        "Look at the depth pictures; remove the depth folder if they are of no use: RGB alone works.",
        {"depth_known": known},
    )


def _unrelated(points: str, relation: DepthRelation, figures: dict[str, float]) -> Finding:
    return Finding(
        "depth-does-not-fit",
        "problem",
        "Depth does not fit the pictures.",
        f"{points} deviate from recorded depth by {100 * relation.spread:.0f} % (median), rank correlation "
        f"{relation.rank_correlation:.2f}",
        "The depth belongs to other frames, or to a camera that was not registered to the color camera.",
        "Compare the numbering of depth and color, and register depth to color when exporting.",
        dict(figures),
    )


def _known(depth: NDArray[np.float32]) -> Array:
    return np.asarray(depth[np.isfinite(depth)], np.float64)


def _deviation(logarithms: Array) -> float:
    return float(np.expm1(np.median(np.abs(logarithms - np.median(logarithms)))))


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
    depth_unit, pose_unit = _known_unit(DEPTH_UNITS, factor), _known_unit(POSE_UNITS, factor)
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


def _known_unit(units: dict[float, str], factor: float) -> float | None:
    """The known factor that this one is, but for what triangulation errs."""
    nearest = min(units, key=lambda unit: abs(math.log(unit / factor)))
    return nearest if abs(math.log(nearest / factor)) < CLOSE else None


def _indoors(depth: float) -> bool:
    return ROOM[0] <= depth <= ROOM[1]
