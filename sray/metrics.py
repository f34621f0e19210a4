"""Scores, always named: strict and released-code mIoU, accuracies, PSNR, depth errors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from sray.label_space import VOID

Labels = NDArray[np.uint8] | Tensor


@dataclass(frozen=True)
class Scores:
    """Fractions in 0..1; NaN where there is nothing to score."""

    miou: float
    total_accuracy: float
    average_accuracy: float
    per_class_iou: list[float]
    """By class index; NaN for a class absent from the ground truth."""


class ConfusionMatrix:
    """Counts of pixels, true class by predicted class; predictions of VOID have a column of their own."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts: NDArray[np.int64] = np.zeros((classes, classes + 1), np.int64)
        """[true, predicted]; the last column counts labeled pixels predicted void."""

    def update(self, predicted: Labels, truth: Labels) -> None:
        """Add one label image, or any equal shapes. Pixels whose truth is VOID do not count.

        Raises ValueError if the shapes differ or a label is neither a class nor VOID.
        """
        predicted, truth = np.asarray(predicted), np.asarray(truth)
        if predicted.shape != truth.shape:
            raise ValueError(f"prediction has shape {predicted.shape}, truth {truth.shape}; expected the same")
        for name, labels in (("prediction", predicted), ("truth", truth)):
            strange = labels[(labels >= self.classes) & (labels != VOID)]
            if strange.size:
                raise ValueError(f"{name} holds {strange[0]}; expected 0-{self.classes - 1} or {VOID}")
        known = truth != VOID
        column = np.where(predicted == VOID, self.classes, predicted)[known].astype(np.int64)
        index = truth[known].astype(np.int64) * (self.classes + 1) + column
        self.counts += np.bincount(index, minlength=self.counts.size).reshape(self.counts.shape)

    def resized(self, classes: int) -> ConfusionMatrix:
        """The same counts among another number of classes.

        Raises ValueError if pixels of a class beyond are counted.
        """
        resized, kept = ConfusionMatrix(classes), min(classes, self.classes)
        resized.counts[:kept, :kept] = self.counts[:kept, :kept]
        resized.counts[:kept, classes] = self.counts[:kept, self.classes]
        if lost := int(self.counts.sum() - resized.counts.sum()):
            raise ValueError(f"{lost} pixels counted are of classes beyond {classes}; expected none")
        return resized

    def strict(self) -> Scores:
        """Void predictions count as errors; classes absent from the ground truth are left out of the means."""
        return _scores(self.counts[:, : self.classes], self.counts.sum(1))

    def released_code(self) -> Scores:
        """As the released code scores one image: pixels predicted void are dropped.

        Published tables use its mIoU, as a mean over the images of a scene, then over scenes.
        """
        answered = self.counts[:, : self.classes]
        return _scores(answered, answered.sum(1))

    def commonest_class(self) -> Scores:
        """Strict scores of answering the truth's commonest class everywhere: the floor any model must clear."""
        totals = self.counts.sum(1)
        guess = np.zeros((self.classes, self.classes), np.int64)
        guess[:, int(totals.argmax())] = totals
        return _scores(guess, totals)


def psnr(image: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio (dB) of colors in 0..1, over the masked pixels; NaN if there are none."""
    squared = (image.double() - truth.double()) ** 2
    if mask is not None:
        squared = squared[mask]
    if squared.numel() == 0:
        return math.nan
    error = float(squared.mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def exposure_matched(image: Tensor, truth: Tensor) -> Tensor:
    """An image (..., 3) in 0..1, brought to the exposure of another one: one factor per channel, by least squares.

    A rendering has the exposure of its sources; the camera gave the true picture one of its own, which no other picture
    tells. Scores after this are of all errors but that one. A channel without light stays as it is.
    """
    axes = tuple(range(image.ndim - 1))
    image, truth = image.double(), truth.double()
    power = (image * image).sum(axes)
    factor = torch.where(power > 0, (image * truth).sum(axes) / power.clamp_min(1e-12), 1.0)
    return (image * factor).clamp(0, 1)


@dataclass(frozen=True)
class DepthScores:
    """How a picture's depth compares with the true one. NaN where nothing can be compared."""

    abs_rel: float
    """Mean of |depth - truth| / truth over the pixels that have both."""
    within_1_25: float
    """Share of the scored pixels whose depth is less than 1.25 times the true one, and the truth less than 1.25 times
    it. A pixel without depth is not within."""
    within_1_05: float
    """The same with 1.05."""
    median_error: float
    """Median of |depth - truth| in meters over the pixels that have both."""


NO_DEPTH = DepthScores(math.nan, math.nan, math.nan, math.nan)
"""Where no true depth is known."""


def depth_scores(
    depth: Float[Tensor, "*shape"], truth: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"] | None = None
) -> DepthScores:
    """Compare camera z in meters at the pixels whose true depth is known (finite and above 0), of those in `mask`.

    `depth` has NaN, or 0, where it has none. Twin: test/reference/depth_scores.py.
    """
    scored = truth.isfinite() & (truth > 0)
    if mask is not None:
        scored &= mask
    depth, truth = depth[scored].double(), truth[scored].double()
    known = depth.isfinite() & (depth > 0)
    error = (depth - truth)[known].abs()
    factor = torch.maximum(depth / truth, truth / depth)
    return DepthScores(
        abs_rel=float((error / truth[known]).mean()),
        within_1_25=float((known & (factor < 1.25)).double().mean()),
        within_1_05=float((known & (factor < 1.05)).double().mean()),
        median_error=float(error.quantile(0.5)) if error.numel() else math.nan,
    )


def _scores(counts: NDArray[np.int64], totals: NDArray[np.int64]) -> Scores:
    """`counts`: true by predicted class; `totals`: pixels of each true class that must be answered."""
    hits = np.diag(counts).astype(float)
    union = totals + counts.sum(0) - hits
    present = totals > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = np.where(present, hits / union, np.nan)
        accuracy = np.where(present, hits / totals, np.nan)
    total = totals.sum()
    return Scores(
        miou=mean(iou.tolist()),
        total_accuracy=float(hits.sum() / total) if total else math.nan,
        average_accuracy=mean(accuracy.tolist()),
        per_class_iou=[float(value) for value in iou],
    )


def mean(values: Iterable[float]) -> float:
    """Of those that are numbers; NaN if none is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
