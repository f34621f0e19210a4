"""The 3D contextual space M: the source views as seen along the query rays. Eq. 3-5, Table 12, L20-L22.

Axes of everything per view are (views, rays, samples), as M is in eq. 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sray.camera import AS_READ, Camera, Projection, feature_grid, image_grid
from sray.encoder import FEATURE_CHANNELS
from sray.visibility import Surfaces, Visibility, visible_views

DIRECTION_CHANNELS = 4
SIGHT_CHANNELS = 2
"""Soft visibility, and signed distance from the view's surface."""


@dataclass(frozen=True)
class EncodedViews:
    """Source views after the encoder: what is kept per keyframe."""

    images: Float[Tensor, "views 3 height width"]
    """RGB in 0..1."""
    camera: Camera
    """Batch of `views` cameras."""
    features: Float[Tensor, "views channels rows columns"]
    surfaces: Surfaces | None = field(default=None, kw_only=True)
    """What the views see, where they have depth and the model reads it."""
    reading_scale: tuple[float, float] = field(default=AS_READ, kw_only=True)
    """Width and height at which the encoder read the pictures, over the pictures' own."""

    @property
    def count(self) -> int:
        return self.images.shape[0]


@dataclass(frozen=True)
class ContextSpace:
    """What each view says about each sample."""

    tokens: Float[Tensor, "views rays samples channels"]
    """M: features with the direction embedding added."""
    features: Float[Tensor, "views rays samples channels"]
    """The same without it."""
    directions: Float[Tensor, "views rays samples 4"]
    """Unit direction source camera -> point minus the same from the target camera, and their dot product."""
    colors: Float[Tensor, "views rays samples 3"]
    """Source colors, 0..1."""
    valid: Bool[Tensor, "views rays samples"]
    """The sample is in front of the view and inside its image; and not hidden from it, if the model asks for that."""
    sight: Float[Tensor, "views rays samples 2"] | None = None
    """Soft visibility and signed distance from the view's surface; None unless the model reads them."""


class ContextBuilder(nn.Module):
    """Reprojects samples into the source views (eq. 4) and gathers M (eq. 5)."""

    def __init__(self, *, zero_directions: bool, visibility: Visibility = "none") -> None:
        super().__init__()
        self.visibility = visibility
        self.direction_mlp = nn.Sequential(  # L21
            nn.Linear(DIRECTION_CHANNELS, 16), nn.ELU(), nn.Linear(16, FEATURE_CHANNELS), nn.ELU()
        )
        if zero_directions:
            last = self.direction_mlp[2]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self,
        views: EncodedViews,
        origin: Float[Tensor, "3"],
        points: Float[Tensor, "rays samples 3"],
    ) -> ContextSpace:
        """Gather M at world points (meters) on rays from `origin`, the target camera's center."""
        with torch.autocast(points.device.type, enabled=False):  # half precision would move pixels by pixels
            projection = views.camera.project(points)
            rows, columns = views.features.shape[-2:]
            features = _gather(views.features, feature_grid(projection.pixels, columns, rows, views.reading_scale))
            colors = _gather(views.images, image_grid(projection.pixels, views.camera.width, views.camera.height))
            directions = direction_difference(views.camera.center, origin, points)
            valid, sight = self._visible(views, projection)
        return ContextSpace(features + self.direction_mlp(directions), features, directions, colors, valid, sight)

    def _visible(self, views: EncodedViews, projection: Projection) -> tuple[Tensor, Tensor | None]:
        """The views that count for each sample, and what the networks get of its visibility."""
        valid = projection.seen
        if self.visibility == "none":
            return valid, None
        told = torch.stack([torch.full_like(projection.depth, 0.5), torch.zeros_like(projection.depth)], dim=-1)
        if views.surfaces is not None:
            sight = views.surfaces.sight(projection)
            valid = visible_views(valid, sight.hidden)
            told = torch.stack([sight.visibility, sight.distance], dim=-1)
        return valid, told if self.visibility == "full" else None


def direction_difference(
    centers: Float[Tensor, "views 3"], origin: Float[Tensor, "3"], points: Float[Tensor, "rays samples 3"]
) -> Float[Tensor, "views rays samples 4"]:
    """Table 12, input 2: unit(source -> point) - unit(target -> point), and the dot product of the two."""
    source = F.normalize(points - centers[:, None, None], dim=-1)
    target = F.normalize(points - origin, dim=-1).expand_as(source)
    return torch.cat([source - target, (source * target).sum(-1, keepdim=True)], dim=-1)


def _gather(
    images: Float[Tensor, "views channels rows columns"], grid: Float[Tensor, "views rays samples 2"]
) -> Float[Tensor, "views rays samples channels"]:
    # Unseen points have meaningless, possibly huge coordinates; border padding keeps them finite, masks drop them.
    sampled = F.grid_sample(images, grid.clamp(-2, 2), mode="bilinear", padding_mode="border", align_corners=False)
    # Channels last in memory too: every layer that follows would make this copy for itself.
    return sampled.permute(0, 2, 3, 1).contiguous()
