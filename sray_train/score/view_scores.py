"""Scores of single views, and how sure their mean is: a bootstrap over views, which were drawn, not over pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sray.metrics import NO_DEPTH, ConfusionMatrix, DepthScores, mean

REPLICATES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ViewScore:
    """One view, one renderer."""

    counts: NDArray[np.int64]
    """Of `ConfusionMatrix`."""
    psnr: float
    depth: DepthScores = NO_DEPTH

    @classmethod
    def of(
        cls, labels: Tensor, truth: Tensor, classes: int, psnr: float = math.nan, depth: DepthScores = NO_DEPTH
    ) -> ViewScore:
        """From class indices and the true ones, uint8 of one shape; VOID where there is none."""
        matrix = ConfusionMatrix(classes)
        matrix.update(labels, truth)
        return cls(matrix.counts, psnr, depth)


def strict_miou(scores: Sequence[ViewScore]) -> float:
    """Of all views together; NaN if nothing is labeled."""
    return _miou(np.sum([one.counts for one in scores], axis=0))


def mean_psnr(scores: Sequence[ViewScore]) -> float:
    return mean(one.psnr for one in scores)


def mean_depth(scores: Sequence[ViewScore]) -> dict[str, float]:
    """`depth_abs_rel`, `depth_within_1_25` and `depth_within_1_05`, means over the views that have true depth."""
    names = ("abs_rel", "within_1_25", "within_1_05")
    return {f"depth_{name}": mean(getattr(one.depth, name) for one in scores) for name in names}


def miou_interval(scores: Sequence[ViewScore], baseline: Sequence[ViewScore] | None = None) -> tuple[float, float]:
    """95 % interval of the strict mIoU; with a baseline (same views), of the difference to it.

    Percentiles over replicates of the views, drawn with replacement; every call draws the same ones, so that a
    difference is paired. Raises ValueError if the baseline has other views.
    """
    if baseline is not None and len(baseline) != len(scores):
        raise ValueError(f"{len(scores)} views against a baseline of {len(baseline)}; expected the same views")
    draws = np.random.default_rng(0).integers(0, len(scores), (REPLICATES, len(scores)))
    values = _replicates(scores, draws)
    if baseline is not None:
        values = values - _replicates(baseline, draws)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


def paired_difference(scores: Sequence[ViewScore], baseline: Sequence[ViewScore]) -> dict[str, Any]:
    """Strict mIoU less that of the same views otherwise, and its `miou_interval`, as records hold them."""
    return {"difference": strict_miou(scores) - strict_miou(baseline), "interval": miou_interval(scores, baseline)}


def _replicates(scores: Sequence[ViewScore], draws: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.stack([one.counts for one in scores])
    times = np.stack([np.bincount(draw, minlength=len(scores)) for draw in draws])  # (replicates, views)
    return np.array([_miou(total) for total in np.tensordot(times, counts, 1)])


def _miou(counts: NDArray[np.int64]) -> float:
    matrix = ConfusionMatrix(counts.shape[0])
    matrix.counts = counts
    return matrix.strict().miou
