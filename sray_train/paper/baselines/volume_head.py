"""MVSNeRF's network of a point: volume, place, direction and colors in; density, radiance and semantics out.

MVSNeRF, section 3.2, and the semantic head of point_head.py on the hidden layer. Smaller than the paper's, and
radiance starts from the mean of the views' colors: the budgets here are short.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from sray.encoder import FEATURE_CHANNELS
from sray_train.paper.baselines.frequencies import frequencies
from sray_train.paper.baselines.point_head import DensityMLP, PointHead, starting_at_zero, two_layers

VOLUME_CHANNELS = 8
FREQUENCIES = 6
"""Of the positional encoding of a place in the frustum, whose sides are 2 long."""
HIDDEN = 128


@dataclass(frozen=True)
class VolumePoints:
    """What is known of points."""

    volume: Float[Tensor, "rays samples channels"]
    """Zero outside of the frustum."""
    place: Float[Tensor, "rays samples 3"]
    """In the frustum: -1 to 1 across, down, and from near to far."""
    direction: Float[Tensor, "rays samples 3"]
    """Unit viewing direction in the reference's axes."""
    colors: Float[Tensor, "rays samples 6"]
    """Mean and variance over the views that see the point."""
    feature: Float[Tensor, "rays samples channels"] | None
    """Mean of the views' features, where the semantic head reads it."""
    inside: Bool[Tensor, "rays samples"]
    seen_by: Int64[Tensor, "rays samples"]


class VolumeHead(PointHead):
    """MLP of a point: density and radiance, and semantics from its hidden layer.

    `from_views`: the semantic head adds to the mean of the views' features, and starts at zero.
    """

    def __init__(self, classes: int, *, from_views: bool) -> None:
        super().__init__(classes)
        inputs = VOLUME_CHANNELS + 1 + 6 + 3 * (1 + 2 * FREQUENCIES)
        self.hidden = nn.Sequential(
            nn.Linear(inputs, HIDDEN),
            nn.ELU(),
            *(layer for _ in range(2) for layer in (nn.Linear(HIDDEN, HIDDEN), nn.ELU())),
        )
        self.density_mlp = DensityMLP(HIDDEN, HIDDEN // 2)
        self.color_mlp = starting_at_zero(two_layers(HIDDEN + 3, HIDDEN // 2, 3))
        semantic = two_layers(HIDDEN, HIDDEN // 2, FEATURE_CHANNELS)
        self.semantic_mlp = starting_at_zero(semantic) if from_views else semantic

    def gather(self, observed: VolumePoints) -> _Hidden:
        inputs = [
            observed.volume,
            observed.inside.unsqueeze(-1),
            observed.colors,
            frequencies(observed.place, FREQUENCIES),
        ]
        return _Hidden(observed, self.hidden(torch.cat(inputs, dim=-1)))

    def density(self, points: _Hidden, coordinates: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
        density: Tensor = self.density_mlp(points.values) * (points.seen_by > 0)
        return density

    def color(self, points: _Hidden) -> Float[Tensor, "rays samples 3"]:
        inputs = torch.cat([points.values, points.observed.direction], dim=-1)
        mean = points.observed.colors[..., :3].clamp(0.01, 0.99)
        return torch.sigmoid(torch.logit(mean) + self.color_mlp(inputs))

    def semantics(
        self, points: _Hidden, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples channels"]:
        semantics: Tensor = self.semantic_mlp(points.values)
        feature = points.observed.feature
        return semantics if feature is None else feature + semantics


@dataclass(frozen=True)
class _Hidden:
    observed: VolumePoints
    values: Float[Tensor, "rays samples hidden"]

    @property
    def seen_by(self) -> Int64[Tensor, "rays samples"]:
        return self.observed.seen_by
