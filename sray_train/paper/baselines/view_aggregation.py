"""IBRNet's network along a ray: what the views say of each point, pooled; then the points of a ray among each other.

IBRNet (Wang et al., CVPR 2021), section 3.2. Each view's feature is set beside the mean and the variance over the
views, and a small network makes of the three the view's share in the point and how far it is to be trusted; the pooled
shares are the point's density feature. The ray transformer lets the density features of a ray see each other before
density is read off. Colors are blended by weights that also know the difference of viewing directions.

Views may count unequally from the start (`trust`) and bring `cues`: NeuRay's visibility enters here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from sray.attention import AttentionVariant, CrossReprojectionAttention, MaskedAttention, positional_encoding
from sray.context import DIRECTION_CHANNELS, ContextSpace
from sray.encoder import FEATURE_CHANNELS
from sray_train.paper.baselines.point_head import DensityMLP, PointHead, starting_at_zero, two_layers

VIEW_CHANNELS = FEATURE_CHANNELS + 3
"""A view's feature and its color."""
RAY_CHANNELS = 16
LEAST_TRUST = 1e-2
"""Of a view that sees a point. With a trust of 0 for all views their blend would be noise."""


@dataclass(frozen=True)
class ViewEvidence:
    """What the views show at the samples, and how much each is worth."""

    context: ContextSpace
    trust: Float[Tensor, "views rays samples"]
    """How much each view counts: LEAST_TRUST to 1; 0 where it does not see the sample."""
    cues: Float[Tensor, "views rays samples cues"]
    """More of each view for the network to read; no channels where there is no more."""


@dataclass(frozen=True)
class PooledPoints:
    """What is known of points."""

    evidence: ViewEvidence
    views: Float[Tensor, "views rays samples channels"]
    """Each view's feature, knowing of the others."""
    share: Float[Tensor, "views rays samples 1"]
    """0..1, what each view's feature counts."""
    pooled: Float[Tensor, "rays samples pooled"]
    """Mean and variance of the views' features, and mean share."""

    @property
    def seen_by(self) -> Int64[Tensor, "rays samples"]:
        return self.evidence.context.valid.sum(0)


class RayTransformer(nn.Module):
    """Self-attention among the samples of a ray with their positions; residual, then layer norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = MaskedAttention(channels)
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        features: Float[Tensor, "rays samples channels"],
        seen: Float[Tensor, "rays samples"],
        coordinates: Float[Tensor, "rays samples"],
    ) -> Float[Tensor, "rays samples channels"]:
        """`seen`: which samples any view sees; the others are no keys."""
        placed = features + positional_encoding(coordinates, features.shape[-1])
        mixed: Tensor = self.norm(features + self.attention(placed, seen))
        return mixed


class AggregationHead(PointHead):
    """IBRNet's aggregation, ray transformer and color blending, and a semantic head on the pooled point feature.

    The semantic head adds to the views' mean feature and starts at zero: it starts from what the classifier learned of
    pictures, as this project's attention does.
    """

    def __init__(self, classes: int, cues: int = 0, attention: AttentionVariant = "none") -> None:
        """`attention`: refines the views' features before semantics are read from them; starts as the identity."""
        super().__init__(classes)
        self.attention = CrossReprojectionAttention(FEATURE_CHANNELS, attention, residual=True)
        channels = FEATURE_CHANNELS
        self.view_mlp = nn.Sequential(two_layers(3 * VIEW_CHANNELS + cues, 64, channels), nn.ELU())
        self.share_mlp = nn.Linear(channels, 1)
        self.pooled_mlp = nn.Sequential(two_layers(2 * channels + 1, 64, RAY_CHANNELS), nn.ELU())
        self.ray_transformer = RayTransformer(RAY_CHANNELS)
        self.density_mlp = DensityMLP(RAY_CHANNELS, RAY_CHANNELS)
        self.blend_mlp = two_layers(channels + 1 + DIRECTION_CHANNELS, RAY_CHANNELS, 1)
        self.semantic_mlp = starting_at_zero(two_layers(2 * channels + 1, 64, channels))

    def gather(self, observed: ViewEvidence) -> PooledPoints:
        context = observed.context
        values = torch.cat([context.tokens, context.colors], dim=-1)
        statistics = torch.cat(weighted_mean_and_variance(values, observed.trust), dim=-1)
        inputs = [values, statistics.expand(len(values), *statistics.shape), observed.cues]
        views = self.view_mlp(torch.cat(inputs, dim=-1))
        share = torch.sigmoid(self.share_mlp(views)) * observed.trust.unsqueeze(-1)
        mean, variance = weighted_mean_and_variance(views, share.squeeze(-1))
        seen_by = context.valid.sum(0).clamp_min(1).unsqueeze(-1)
        return PooledPoints(observed, views, share, torch.cat([mean, variance, share.sum(0) / seen_by], dim=-1))

    def density(
        self, points: PooledPoints, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples"]:
        seen = points.evidence.context.valid.any(0)
        along_ray = self.ray_transformer(self.pooled_mlp(points.pooled), seen, coordinates)
        density: Tensor = self.density_mlp(along_ray) * seen
        return density

    def color(self, points: PooledPoints) -> Float[Tensor, "rays samples 3"]:
        context, trust = points.evidence.context, points.evidence.trust
        scores = self.blend_mlp(torch.cat([points.views, points.share, context.directions], dim=-1)).squeeze(-1)
        # Finite, not -inf: a sample nobody sees would make the softmax NaN.
        scores = (scores + trust.clamp_min(LEAST_TRUST).log()).masked_fill(~context.valid, -1e9)
        return ((torch.softmax(scores, dim=0) * context.valid).unsqueeze(-1) * context.colors).sum(0)

    def semantics(
        self, points: PooledPoints, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples channels"]:
        context = points.evidence.context
        refined = self.attention(context.features, context.valid, coordinates)
        mean, _ = weighted_mean_and_variance(refined, points.share.squeeze(-1))
        semantics: Tensor = mean + self.semantic_mlp(points.pooled)
        return semantics


def weighted_mean_and_variance(
    values: Float[Tensor, "views rays samples channels"], weights: Float[Tensor, "views rays samples"]
) -> tuple[Float[Tensor, "rays samples channels"], Float[Tensor, "rays samples channels"]]:
    """Mean and biased variance over the views under weights of at least 0; zero where all weights are."""
    shares = (weights / weights.sum(0).clamp_min(1e-6)).unsqueeze(-1)
    mean = (shares * values).sum(0)
    return mean, (shares * (values - mean) ** 2).sum(0)
