"""Matched points between frames, found from the pictures alone, since the poses are what they check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.frames import Frame
from sray_train.tools.data_check.sample import Sample

Points = NDArray[np.float64]

FEATURES = 800
RATIO = 0.8
"""A match must be so much closer than the runner-up (Lowe's test)."""
FEWEST_MATCHES = 20
"""Fewer can be fitted by some fundamental matrix by chance: it has 7 degrees of freedom."""


@dataclass(frozen=True)
class MatchedPair:
    """Two frames and the pixels that show the same points; every array has one row a match."""

    first: int
    second: int
    """Positions in the recording."""
    pixels_first: Points
    pixels_second: Points
    """(matches, 2), column and row."""
    depth_first: Points
    """(matches,), meters as recorded; NaN where there is none."""
    free_error: float
    """Median distance (px) to the epipolar lines of the fundamental matrix fitted to these matches: the noise."""

    def __len__(self) -> int:
        return len(self.pixels_first)

    @property
    def motion(self) -> float:
        """Median distance (px) between the two pixels of a match."""
        return float(np.median(np.linalg.norm(self.pixels_second - self.pixels_first, axis=1)))


class Matcher:
    """SIFT matches that one fundamental matrix explains; features of a frame are computed once."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._sift = cv2.SIFT.create(FEATURES, contrastThreshold=0.02)
        self._features: dict[int, tuple[Points, NDArray[np.float32]]] = {}

    def pair(self, first: int, second: int) -> MatchedPair | None:
        """None if either frame cannot be read, or too little of it is seen in both."""
        frames = self._sample.frame(first), self._sample.frame(second)
        if frames[0] is None or frames[1] is None:
            return None
        (pixels_first, first_features), (pixels_second, second_features) = (
            self._of(first, frames[0]),
            self._of(second, frames[1]),
        )
        if min(len(pixels_first), len(pixels_second)) < FEWEST_MATCHES:
            return None
        similarity = first_features @ second_features.T  # unit vectors: squared distance is 2 - 2 cos
        best, runner_up = np.sort(similarity, axis=1)[:, [-1, -2]].T
        partner = similarity.argmax(1)
        mutual = similarity.argmax(0)[partner] == np.arange(len(partner))
        good = np.flatnonzero(mutual & (1 - best < RATIO**2 * (1 - runner_up)))
        if len(good) < FEWEST_MATCHES:
            return None
        a, b = pixels_first[good], pixels_second[partner[good]]
        try:
            # Lines may be missed by a pixel of a picture 320 wide.
            threshold = max(0.7, frames[0].camera.width / 320)
            fundamental, kept = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, threshold, 0.999)
        except cv2.error:  # raised for degenerate points
            return None
        if fundamental is None or fundamental.shape != (3, 3) or kept.sum() < max(FEWEST_MATCHES, 0.4 * len(a)):
            return None
        a, b = a[kept.ravel() > 0], b[kept.ravel() > 0]
        return MatchedPair(first, second, a, b, _at(frames[0], a), float(np.median(_line_distance(fundamental, a, b))))

    def _of(self, position: int, frame: Frame) -> tuple[Points, NDArray[np.float32]]:
        if position not in self._features:
            gray = cv2.cvtColor(frame.image.numpy(), cv2.COLOR_RGB2GRAY)
            keypoints, descriptors = self._sift.detectAndCompute(gray, None)
            if descriptors is None:
                descriptors = np.zeros((0, 128), np.float32)
            pixels = np.array([point.pt for point in keypoints], np.float64).reshape(-1, 2)
            # RootSIFT: the square roots of an L1-normalized descriptor are a unit vector.
            root = np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-9))
            self._features[position] = pixels, root.astype(np.float32)
        return self._features[position]


def find_pairs(
    sample: Sample, anchors: int = 10, on_progress: Callable[[int, int], None] | None = None
) -> list[MatchedPair]:
    """Pairs of frames that see much in common, evenly over the recording, as far apart as the pictures allow.

    From each anchor the partner is sought 1, 2, 4, ... frames on, until the pictures no longer match. Recordings whose
    neighbors show different things (not a video) are searched pair by pair among the anchors.
    """
    matcher = Matcher(sample)
    starts = sample.spread(anchors)
    pairs: list[MatchedPair] = []
    for done, start in enumerate(starts, start=1):
        pairs += list(_ladder(matcher, start, len(sample)))[-3:]
        if on_progress:
            on_progress(done, len(starts))
    if len(pairs) < 4:
        among = sample.spread(2 * anchors)
        known = {(pair.first, pair.second) for pair in pairs}
        found = [matcher.pair(a, b) for index, a in enumerate(among) for b in among[index + 1 :] if (a, b) not in known]
        pairs += sorted((pair for pair in found if pair), key=len, reverse=True)[: 3 * anchors]
    return pairs


def _ladder(matcher: Matcher, start: int, count: int) -> Iterator[MatchedPair]:
    gap = 1
    missed = 0
    while gap < count and missed < 2:  # one rung may miss for an unreadable or blurred frame
        partner = start + gap if start + gap < count else start - gap
        if partner < 0:
            return
        pair = matcher.pair(start, partner)
        if pair is None:
            missed += 1
        else:
            yield pair
        gap *= 2


def _at(frame: Frame, pixels: Points) -> Points:
    if frame.depth is None:
        return np.full(len(pixels), np.nan)
    column = pixels[:, 0].round().astype(int).clip(0, frame.camera.width - 1)
    row = pixels[:, 1].round().astype(int).clip(0, frame.camera.height - 1)
    return np.asarray(frame.depth.numpy()[row, column], np.float64)


def _line_distance(fundamental: Points, a: Points, b: Points) -> Points:
    lines = np.c_[a, np.ones(len(a))] @ fundamental.T
    distance = np.abs((np.c_[b, np.ones(len(b))] * lines).sum(1)) / np.linalg.norm(lines[:, :2], axis=1)
    return np.asarray(distance, np.float64)
