"""Which source views see a sample: its depth in each view, against the surface that the view itself sees there.

A view's depth may come from a sensor or from stereo. It is read at the nearest pixel: a mean over neighbors would
invent a surface between the two sides of an edge, and hide from the view what it sees there. What half a pixel of a
slanted surface is off by, the tolerance covers.

A depth that is unknown hides nothing, and says so: visibility one half, distance 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sray.camera import Projection
from sray.frames import SourceViews

Visibility = Literal["none", "mask", "full"]

TOLERANCE, RELATIVE_TOLERANCE = 0.02, 0.02
"""Meters, and meters a meter of depth, by which depth and poses may be off: 6 cm at 2 m."""
SHARPNESS = 4.0
"""Of the soft visibility: 0.98 on the surface, 0.5 one tolerance behind it, 0.02 two behind it."""
HIDDEN = 2.0
"""Tolerances behind its surface at which a view is sure not to see a sample: 12 cm at 2 m."""
REACH = 3.0
"""Tolerances to either side of a surface within which the distance to it is an input of the networks."""


@dataclass(frozen=True)
class Sight:
    """What the views' surfaces say of samples. Meaningless, but finite, where a sample is outside a view's image."""

    visibility: Float[Tensor, "views rays samples"]
    """0 behind the surface, 1 before or on it; 0.5 where nothing is known."""
    distance: Float[Tensor, "views rays samples"]
    """From the surface, in REACH tolerances: -1 well before it, 1 well behind it; 0 on it or where nothing is known."""
    hidden: Bool[Tensor, "views rays samples"]
    """The view is sure not to see the sample."""


@dataclass(frozen=True)
class Surfaces:
    """The surface that each pixel of each source view sees."""

    depth: Float[Tensor, "views height width"]
    """Camera z in meters; 0 where unknown."""
    confidence: Float[Tensor, "views height width"]
    """0..1; 0 where the depth is unknown. Half the confidence is twice the tolerance."""

    @staticmethod
    def of(views: SourceViews) -> Surfaces | None:
        """None if no view has depth."""
        if views.depth is None:
            return None
        known = views.depth.isfinite() & (views.depth > 0)
        confidence = known.to(views.depth)
        if views.depth_confidence is not None:
            confidence = torch.where(known, views.depth_confidence.nan_to_num(0.0).clamp(0, 1), 0.0)
        return Surfaces(torch.where(confidence > 0, views.depth, 0.0), confidence)

    def sight(self, projection: Projection) -> Sight:
        """Of samples that were projected into the views."""
        views, height, width = self.depth.shape
        shape = projection.depth.shape
        columns, rows = projection.pixels.nan_to_num().unbind(-1)
        pixels = (rows.clamp(0, height - 1).round() * width + columns.clamp(0, width - 1).round()).long()
        pixels = pixels.reshape(views, -1)
        depth, confidence = (
            values.reshape(views, -1).gather(1, pixels).reshape(shape) for values in (self.depth, self.confidence)
        )
        tolerances = (projection.depth - depth) * (confidence / (TOLERANCE + RELATIVE_TOLERANCE * depth))
        return Sight(
            # The confidence scales the whole logit: nothing known is one half, and in between it fades.
            torch.sigmoid(SHARPNESS * (confidence - tolerances)),
            (tolerances / REACH).clamp(-1, 1),
            tolerances > HIDDEN,
        )


def visible_views(
    inside: Bool[Tensor, "views rays samples"], hidden: Bool[Tensor, "views rays samples"]
) -> Bool[Tensor, "views rays samples"]:
    """The views that count for each sample: those that have it in their image and are not sure that it is hidden.

    A sample that all of them call hidden keeps them all. It lies where no source looks, or every depth errs: the best
    guess is what would be shown without any depth, while no view at all would be a hole in the render.
    """
    visible = inside & ~hidden
    return torch.where(visible.any(0, keepdim=True), visible, inside)
