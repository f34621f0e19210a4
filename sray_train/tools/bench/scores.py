"""Accuracy of a view at fixed pixels."""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor

from sray.metrics import NO_DEPTH, depth_scores, psnr
from sray_train.score.view_scores import ViewScore
from sray_train.tools.bench.scenes import BenchView


def score(
    view: BenchView,
    labels: UInt8[Tensor, " pixels"],
    color: Float[Tensor, "pixels 3"],
    depth: Float[Tensor, " pixels"],
    classes: int,
) -> ViewScore:
    """Score labels, colors (0..1) and depth (camera z in meters, also where void) rendered at the view's pixels."""
    assert view.truth.labels is not None
    truth = view.truth.image.reshape(-1, 3)[view.pixels].float() / 255
    known = view.truth.depth
    errors = NO_DEPTH if known is None else depth_scores(depth, known.reshape(-1)[view.pixels])
    return ViewScore.of(labels, view.truth.labels.reshape(-1)[view.pixels], classes, psnr(color, truth), errors)
