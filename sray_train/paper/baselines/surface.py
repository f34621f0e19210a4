"""What source views say of the surface that each pixel of a camera sees: a plain mean, no network along rays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from sray.camera import Camera
from sray.frames import SourceViews
from sray.visibility import Surfaces, visible_views


@dataclass(frozen=True)
class Sightings:
    """Which source views see the surface of each pixel, and at which of their own pixels."""

    pixel: Int64[Tensor, "views pixels"]
    """Row times width plus column; meaningless where the view does not count."""
    share: Float[Tensor, "views pixels"]
    """1 / number of views that count for the pixel, 0 for a view that does not."""
    inside: int
    """Pixels and views of which the surface is inside the view's image."""
    hidden: int
    """Those of them whose view is sure not to see it. 0 where nobody was asked."""

    @property
    def seen_by(self) -> Float[Tensor, " pixels"]:
        """Views that count for each pixel."""
        return (self.share > 0).sum(0).to(self.share)

    def mean(self, values: Float[Tensor, "views height width channels"]) -> Float[Tensor, "pixels channels"]:
        """The mean of the views' values at the surface, each at its nearest pixel; 0 where no view counts."""
        total = values.new_zeros(self.pixel.shape[1], values.shape[-1])
        for view, (pixel, share) in enumerate(zip(self.pixel, self.share, strict=True)):
            total += values[view].flatten(0, 1)[pixel] * share.unsqueeze(-1)
        return total


def sightings(
    camera: Camera, depth: Float[Tensor, "height width"], views: SourceViews, surfaces: Surfaces | None
) -> Sightings:
    """Of the surface at `depth` (camera z, meters; NaN or 0: none). `surfaces`: what the views themselves see, so that
    those which do not see it do not count; None: all that have it inside their image do."""
    camera = camera.relative_to(views.camera.origin)
    flat = depth.flatten()
    known = flat.isfinite() & (flat > 0)
    reach = torch.where(known, flat, 1.0).unsqueeze(-1)
    points = camera.center + reach * camera.ray_directions(camera.pixel_grid())
    projection = views.camera.project(points.unsqueeze(1))
    inside = valid = projection.seen & known.unsqueeze(-1)
    hidden = 0
    if surfaces is not None:
        behind = surfaces.sight(projection).hidden
        hidden = int((inside & behind).sum())
        valid = visible_views(inside, behind)
    columns, rows = projection.pixels.squeeze(2).nan_to_num().round().unbind(-1)
    columns, rows = columns.clamp(0, views.camera.width - 1), rows.clamp(0, views.camera.height - 1)
    counted = valid.squeeze(-1).to(points)
    return Sightings(
        (rows * views.camera.width + columns).long(), counted / counted.sum(0).clamp_min(1), int(inside.sum()), hidden
    )
