"""Checks of poses and intrinsics: which reading of them puts matched points where the pictures show them.

Judged by the free-depth error (see `Transfer.best`): it needs neither depth nor the scale of the poses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from sray.camera import Camera
from sray.frames import Frame
from sray.origin import Origin
from sray_train.tools.data_check.findings import Finding
from sray_train.tools.data_check.matches import MatchedPair
from sray_train.tools.data_check.readings import (
    AS_STORED,
    K_AS_STORED,
    OFF_CENTER,
    POSE_READINGS,
    IntrinsicsReading,
    PoseReading,
    intrinsics_readings,
    off_center,
)
from sray_train.tools.data_check.sample import Sample
from sray_train.tools.data_check.transfer import Transfer

Array = NDArray[np.float64]

FEWEST_PAIRS = 3
DECISIVE = 0.5
"""Another reading is believed if it has less than this share of the stored one's error."""


def tolerance(width: int, noise: float) -> float:
    """Error (px) at which no other reading is sought: tracked poses have about so much in pictures `width` wide."""
    return max(2.5 * noise, 0.002 * width)


@dataclass(frozen=True)
class Geometry:
    """Matched pairs, the cameras as stored, and the readings of them that fit best."""

    sample: Sample
    pairs: list[MatchedPair]
    poses: PoseReading = AS_STORED
    intrinsics: IntrinsicsReading = K_AS_STORED

    @cached_property
    def camera(self) -> Camera:
        """The camera of the first frame that was read, at the sample's size."""
        return next(iter(self.sample.frames.values())).camera

    @cached_property
    def telling(self) -> list[MatchedPair]:
        """The pairs with enough motion to tell readings apart: without motion every reading fits."""
        least = 0.03 * self.camera.width
        moving = [pair for pair in self.pairs if pair.motion >= least]
        if len(moving) >= 2 * FEWEST_PAIRS:
            return moving
        return sorted(self.pairs, key=lambda pair: -pair.motion)[: 2 * FEWEST_PAIRS]

    def transfer(self, pair: MatchedPair, poses: PoseReading, intrinsics: IntrinsicsReading) -> Transfer:
        """From the first frame of a pair to the second, under a reading."""
        first, second = (self._k(position, intrinsics) for position in (pair.first, pair.second))
        stored = self.sample.poses
        relative = np.linalg.inv(poses.convert(stored[pair.second])) @ poses.convert(stored[pair.first])
        return Transfer.between(pair.pixels_first, first, second, relative)

    def own(self, pair: MatchedPair) -> Transfer:
        """Under the reading that fits best."""
        return self.transfer(pair, self.poses, self.intrinsics)

    def frame(self, position: int) -> Frame | None:
        """A frame with its camera as this reading has it; None if it cannot be read."""
        frame = self.sample.frame(position)
        if frame is None:
            return None
        intrinsics = torch.from_numpy(self._k(position, self.intrinsics)).float()
        pose = self.poses.convert(self.sample.poses[position])
        size = frame.camera.width, frame.camera.height
        return replace(frame, camera=Camera.at(pose, intrinsics, *size, self._origin))

    @cached_property
    def _origin(self) -> Origin:
        """Of the frame that all cameras are in, as this reading has their poses."""
        return Origin.near(self.poses.convert(self.sample.poses[0])[:3, 3])

    def triangulated(self, pair: MatchedPair) -> tuple[NDArray[np.bool_], Array]:
        """Which matches (matches,) move enough to be triangulated, and their depth (matches,) in the first frame."""
        transfer = self.own(pair)
        distance, depth = transfer.best(pair.pixels_second)
        parallax = np.linalg.norm(pair.pixels_second - transfer.infinity, axis=1)
        # A pixel of noise in 2 % of the width is a depth error of a few tenths at worst, and medians tame it.
        width = self.camera.width
        usable = (parallax > 0.02 * width) & (distance < max(1.0, 0.01 * width)) & np.isfinite(depth) & (depth > 0)
        return usable, depth

    def error(self, poses: PoseReading, intrinsics: IntrinsicsReading) -> float:
        """Median over the telling pairs of their median free-depth error, pixels; at most the picture's width."""
        errors = [
            float(np.median(self.transfer(pair, poses, intrinsics).best(pair.pixels_second)[0]))
            for pair in self.telling
        ]
        return min(float(np.median(errors)), float(self.camera.width))

    @cached_property
    def noise(self) -> float:
        """Median error (px) that the best poses could reach."""
        return float(np.median([pair.free_error for pair in self.telling]))

    def intrinsics_at(self, position: int) -> Array:
        """K (3, 3) of a frame, under the reading that fits best, at the sample's size."""
        return self._k(position, self.intrinsics)

    def _k(self, position: int, reading: IntrinsicsReading) -> Array:
        frame = self.sample.frame(position)
        assert frame is not None, "asked for frames that were read"
        return reading.convert(frame.camera.intrinsics.double().numpy())


def judge_cameras(sample: Sample, pairs: list[MatchedPair]) -> tuple[Geometry, list[Finding], dict[str, float]]:
    """The geometry under its best reading, what is wrong with the stored one, and the errors (px) of all readings."""
    geometry = Geometry(sample, pairs)
    if not sample.frames:
        return geometry, [], {}
    camera = geometry.camera
    if len(pairs) < FEWEST_PAIRS or max(pair.motion for pair in pairs) < 0.01 * camera.width:
        return geometry, [_unjudged(geometry), *_principal_point(camera, None)], {}
    readings = intrinsics_readings(camera)
    errors = {(p, k): geometry.error(p, k) for p in POSE_READINGS for k in readings}
    stored = errors[AS_STORED, K_AS_STORED]
    table = _table(errors)
    best = _simplest(errors, stored, tolerance(camera.width, geometry.noise))
    if best == (AS_STORED, K_AS_STORED):
        if stored > max(0.02 * camera.width, 5 * geometry.noise):
            return geometry, [_unexplained(geometry, stored, errors), *_principal_point(camera, None)], table
        return geometry, list(_principal_point(camera, stored)), table
    poses, intrinsics = best
    right = Geometry(sample, pairs, poses, intrinsics)
    return right, list(_misread(right, stored, errors)), table


Errors = dict[tuple[PoseReading, IntrinsicsReading], float]


def _simplest(errors: Errors, stored: float, tolerable: float) -> tuple[PoseReading, IntrinsicsReading]:
    """The reading with the smallest error, or a simpler one about as good; the stored one unless clearly worse."""

    def surprise(reading: tuple[PoseReading, IntrinsicsReading]) -> int:
        return (reading[0] is not AS_STORED) + (reading[1] is not K_AS_STORED)

    best = min(errors.values())
    if stored <= tolerable or best > DECISIVE * stored:
        return AS_STORED, K_AS_STORED
    good = [reading for reading, error in errors.items() if error <= max(1.5 * best, 0.5 * tolerable)]
    least = min(surprise(reading) for reading in good)
    return min((reading for reading in good if surprise(reading) == least), key=lambda reading: errors[reading])


def _table(errors: Errors) -> dict[str, float]:
    """Error of each single change, for the record."""
    poses = {p.code: error for (p, k), error in errors.items() if k is K_AS_STORED}
    kept: dict[str, float] = {}
    for (p, k), error in errors.items():
        if p is AS_STORED and k is not K_AS_STORED:
            kept[k.code] = min(error, kept.get(k.code, np.inf))
    return poses | kept


def _misread(right: Geometry, stored: float, errors: Errors) -> Iterator[Finding]:
    poses, intrinsics = right.poses, right.intrinsics
    best = errors[poses, intrinsics]
    pairs = len(right.telling)
    evidence = (
        f"matched points of {pairs} frame pairs miss their epipolar rays by {stored:.1f} px (median) as stored, by "
        f"{best:.2f} px read so; matching noise is {right.noise:.2f} px"
    )
    figures = {"error_as_stored_px": stored, "error_read_so_px": best, "noise_px": right.noise, "pairs": pairs}
    if poses is not AS_STORED:
        yield Finding(
            poses.code,
            "problem",
            "The poses are not world_from_camera with OpenCV axes.",
            evidence,
            f"The files hold {poses.means}.",
            f"To mend it: {poses.remedy}.",
            {**figures},
        )
    if intrinsics is not K_AS_STORED:
        yield Finding(
            intrinsics.code,
            "problem",
            "The intrinsics do not belong to pictures of this size.",
            f"{evidence}; {_where(right.camera)}",
            f"The file holds {intrinsics.means}.",
            f"To mend it: {intrinsics.remedy}.",
            {**figures, "off_centre": off_center(right.camera)},
        )


def _where(camera: Camera) -> str:
    cx, cy = camera.intrinsics[:2, 2].tolist()
    return (
        f"the principal point ({cx:.1f}, {cy:.1f}) is {100 * off_center(camera):.0f} % of the side away from the "
        f"middle of {camera.width}x{camera.height}"
    )


def _principal_point(camera: Camera, error: float | None) -> Iterator[Finding]:
    """A principal point far from the middle: a problem where no matches test it (`error` is None), else a warning."""
    if off_center(camera) < OFF_CENTER:
        return
    reading = intrinsics_readings(camera)[1]
    judged = "matches cannot test it" if error is None else f"matched points fit K as stored ({error:.1f} px)"
    yield Finding(
        reading.code,
        "problem" if error is None else "warning",
        "The principal point is far from the middle of the pictures.",
        f"{_where(camera)}; {judged}",
        f"The file holds {reading.means}." if error is None else "The pictures are cut out of larger ones.",
        f"To mend it: {reading.remedy}." if error is None else "Nothing, if they are.",
        {"off_centre": off_center(camera)},
    )


def _unjudged(geometry: Geometry) -> Finding:
    pairs = geometry.pairs
    moved = max((pair.motion for pair in pairs), default=0.0)
    return Finding(
        "geometry-not-judged",
        "warning",
        "Poses and intrinsics could not be judged.",
        f"{len(pairs)} frame pairs match (at least {FEWEST_PAIRS} are needed), moving by {moved:.1f} px at most",
        "The pictures have no texture, are blurred, hardly overlap, or the camera stands still.",
        "Look at the pictures of the report; pictures from closer places, or sharper ones, can be judged.",
        {"pairs": len(pairs), "motion_px": moved},
    )


def _unexplained(geometry: Geometry, stored: float, errors: Errors) -> Finding:
    reading = min(errors, key=lambda each: errors[each])
    return Finding(
        "poses-do-not-fit",
        "problem",
        "Poses and pictures do not fit each other.",
        f"matched points of {len(geometry.telling)} frame pairs miss their epipolar rays by {stored:.1f} px (median); "
        f"matching noise is {geometry.noise:.2f} px; the best of {len(errors)} other readings leaves "
        f"{errors[reading]:.1f} px",
        "The poses belong to other frames (numbering, clock offset), drifted, or the pictures are distorted.",
        "Compare numbering and stamps of pictures and poses, and undistort the pictures.",
        {"error_as_stored_px": stored, "noise_px": geometry.noise, "best_other_px": errors[reading]},
    )
