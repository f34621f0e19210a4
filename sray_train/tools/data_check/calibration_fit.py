"""The calibration that fits the pictures best: focal length, principal point, depth factor and time offset.

All are fitted at once to the matched points of many frame pairs: the distance of a match from its epipolar ray, and
where there is depth, from where the depth puts it. Poses stay as stored; a time offset moves along them. Robust least
squares, so that wrong matches count little. The standard errors come from the fit's own Jacobian.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation, Slerp

from sray_train.tools.data_check.camera_checks import Geometry
from sray_train.tools.data_check.findings import Finding
from sray_train.tools.data_check.matches import MatchedPair
from sray_train.tools.data_check.transfer import Transfer

Array = NDArray[np.float64]

MOST_POINTS = 40
"""Of a pair: more cost time and say the same."""
FEWEST_RESIDUALS = 200
WRONG_FOCAL = 0.06
"""Share of the focal length. Focusing changes it by a few per cent, and stored ones are rounded; 6 % bends a room."""
SURE = 4.0
"""Standard errors that a finding must be away from nothing."""
BETTER = 0.8
"""The fitted error over the stored one, below which the fit has explained something."""
MOST_FRAMES_OFF = 3.0


@dataclass(frozen=True)
class CalibrationFit:
    """What fits best, each relative to what is stored."""

    focal_factor: float
    focal_error: float
    """One standard error of the factor."""
    principal_shift: tuple[float, float]
    """Columns and rows, pixels of the checked pictures."""
    depth_factor: float
    """What recorded depth is to be multiplied by; NaN without depth."""
    frames_late: float
    """How many frames later the fitting pose is than the picture; NaN where poses cannot be interpolated."""
    stored_px: float
    fitted_px: float
    """Median distances of matches, before and after."""

    @property
    def is_better(self) -> bool:
        return self.fitted_px < BETTER * self.stored_px

    @property
    def is_focal_wrong(self) -> bool:
        """Surely, by much, and the pictures fit much better with the other one."""
        off = abs(np.log(self.focal_factor))
        return bool(self.is_better and off > WRONG_FOCAL and off > SURE * self.focal_error)

    def figures(self) -> dict[str, float]:
        return {
            "fitted_focal_factor": self.focal_factor,
            "fitted_focal_error": self.focal_error,
            "fitted_principal_shift_x_px": self.principal_shift[0],
            "fitted_principal_shift_y_px": self.principal_shift[1],
            "fitted_depth_factor": self.depth_factor,
            "fitted_frames_late": self.frames_late,
            "fitted_stored_px": self.stored_px,
            "fitted_px": self.fitted_px,
        }


def fit_calibration(geometry: Geometry) -> CalibrationFit | None:
    """None where too few points match."""
    problem = _Problem(geometry)
    before = problem.residuals(np.zeros(5))
    if len(before) < FEWEST_RESIDUALS:
        return None
    noise = max(0.3, geometry.noise)
    width = geometry.camera.width
    free = np.array([True, True, True, problem.has_depth, problem.is_video])

    def vector(values: Array) -> Array:
        full = np.zeros(5)
        full[free] = values
        return full

    # Weak priors, in the units of a match's noise: they decide only what the pictures leave open.
    prior = np.array([0.5, 0.1 * width, 0.1 * width, 0.5, MOST_FRAMES_OFF])[free]

    def cost(values: Array) -> Array:
        return np.concatenate([problem.residuals(vector(values)) / noise, values / prior])

    found = least_squares(
        cost, np.zeros(int(free.sum())), loss="soft_l1", x_scale=prior, max_nfev=15,
        bounds=(-3 * prior, 3 * prior),
    )  # fmt: skip
    best = vector(found.x)
    spread = np.linalg.pinv(found.jac.T @ found.jac)
    after = problem.residuals(best)
    # The scatter of what is left, rather than the noise of single matches: poses have errors of their own.
    scale = max(1.0, float(np.median(np.abs(after))) / noise)
    # Matches of one pair share the errors of its poses: pairs are what is independent.
    shared = np.sqrt(len(after) / max(1, 2 * len(geometry.pairs)))
    return CalibrationFit(
        float(np.exp(best[0])),
        float(np.sqrt(spread[0, 0]) * scale * shared),
        (float(best[1]), float(best[2])),
        float(np.exp(best[3])) if problem.has_depth else float("nan"),
        float(best[4]) if problem.is_video else float("nan"),
        float(np.median(np.abs(before))),
        float(np.median(np.abs(after))),
    )


def check_calibration(fit: CalibrationFit, focal: float) -> Iterator[Finding]:
    """`focal`: the stored focal length, pixels of the checked pictures."""
    if not fit.is_focal_wrong:
        return
    percent = 100 * (1 / fit.focal_factor - 1)
    yield Finding(
        "intrinsics-do-not-fit",
        "problem",
        "The focal length does not belong to these pictures.",
        f"stored {focal:.1f} px, the pictures fit {focal * fit.focal_factor:.1f} px (give or take "
        f"{focal * fit.focal_error:.1f}): matches miss by {fit.stored_px:.2f} px, and by {fit.fitted_px:.2f} so",
        f"The stored one is {abs(percent):.0f} % too {'large' if percent > 0 else 'small'}: a nominal one, or of "
        "another zoom, crop or camera.",
        f"To mend it: calibrate the camera, or multiply fx and fy by {fit.focal_factor:.3f} (and look at the check "
        "again).",
        fit.figures(),
    )


class _Problem:
    """Residuals (pixels) of the matches under other values: log focal factor, principal point, log depth, frames."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        rng = np.random.default_rng(0)
        self._pairs = [_thinned(pair, rng) for pair in geometry.pairs]
        self.has_depth = sum(int(np.isfinite(pair.depth_first).sum()) for pair in self._pairs) >= FEWEST_RESIDUALS
        poses = np.stack([geometry.poses.convert(pose) for pose in geometry.sample.poses])
        steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
        # Of pictures that do not follow each other there is nothing to interpolate.
        self.is_video = len(poses) > 10 and bool(np.quantile(steps, 0.9) < 0.15)
        self._poses = poses
        self._used = sorted({position for pair in self._pairs for position in (pair.first, pair.second)})
        times = np.arange(len(poses))
        self._turn = Slerp(times, Rotation.from_matrix(poses[:, :3, :3])) if len(poses) > 1 else None

    def residuals(self, values: Array) -> Array:
        poses = self._moved(values[4])
        found = [self._of(pair, values, poses) for pair in self._pairs]
        return np.concatenate(found) if found else np.zeros(0)

    def _of(self, pair: MatchedPair, values: Array, poses: dict[int, Array]) -> Array:
        first, second = (self._k(position, values) for position in (pair.first, pair.second))
        relative = np.linalg.inv(poses[pair.second]) @ poses[pair.first]
        transfer = Transfer.between(pair.pixels_first, first, second, relative)
        width = float(self._geometry.camera.width)
        distance, _ = transfer.best(pair.pixels_second)
        parts = [distance]
        if self.has_depth:
            known = np.isfinite(pair.depth_first) & (pair.depth_first > 0)
            landing = transfer.pixels(np.where(known, pair.depth_first, 1.0) * np.exp(values[3]))
            apart = np.linalg.norm(landing - pair.pixels_second, axis=1)
            parts.append(apart[known])
        return np.asarray(np.nan_to_num(np.concatenate(parts), nan=width, posinf=width).clip(0, width), np.float64)

    def _k(self, position: int, values: Array) -> Array:
        matrix: Array = self._geometry.intrinsics_at(position).copy()
        matrix[:2, :2] *= np.exp(values[0])
        matrix[:2, 2] += values[1:3]
        return matrix

    def _moved(self, later: float) -> dict[int, Array]:
        """Poses (4, 4) of the frames in use, so many frames later, between the stored ones."""
        used = self._used
        if later == 0.0 or self._turn is None:
            return {position: self._poses[position] for position in used}
        times = np.clip(np.array(used) + later, 0, len(self._poses) - 1)
        low = np.minimum(times.astype(int), len(self._poses) - 2)
        share = (times - low)[:, None]
        moved = np.tile(np.eye(4), (len(used), 1, 1))
        moved[:, :3, :3] = self._turn(times).as_matrix()
        moved[:, :3, 3] = (1 - share) * self._poses[low, :3, 3] + share * self._poses[low + 1, :3, 3]
        return dict(zip(used, moved, strict=True))


def _thinned(pair: MatchedPair, rng: np.random.Generator) -> MatchedPair:
    if len(pair) <= MOST_POINTS:
        return pair
    kept = rng.choice(len(pair), MOST_POINTS, replace=False)
    return MatchedPair(
        pair.first, pair.second, pair.pixels_first[kept], pair.pixels_second[kept], pair.depth_first[kept],
        pair.free_error,
    )  # fmt: skip
