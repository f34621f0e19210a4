"""Geometry-aware Network: density from the agreement of the views, color by blending them. Table 15.

Reads M, not M'': a coarse pass that only looks for surfaces needs no attention across the views.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sray.attention import MaskedAttention
from sray.context import DIRECTION_CHANNELS, SIGHT_CHANNELS, ContextSpace

RAY_CHANNELS = 16
STATISTICS = 8
"""Color mean (3), log color variance (3), log feature variance (1), fraction of valid views (1)."""


@dataclass(frozen=True)
class Geometry:
    """What the geometry-aware network says about each sample."""

    density: Float[Tensor, "rays samples"]
    """At least 0; exactly 0 where no view sees the sample."""
    color: Float[Tensor, "rays samples 3"]
    """Blended source colors, 0..1."""


class GeometryNetwork(nn.Module):
    """Table 15. With `statistics`, L7 also gets how well the views' colors and features agree, and L9 a residual.

    Features trained for semantics alone do not find surfaces; agreement in color does. With `sight`, L7 also gets
    where the views' own depth says that the surface is.
    """

    def __init__(self, channels: int, *, statistics: bool, sight: bool = False) -> None:
        super().__init__()
        self.statistics = statistics
        self.token_mlp = nn.Sequential(nn.Linear(channels, channels), nn.ELU())  # L1
        self.gate = nn.Linear(channels, 1)  # L2-L3; an ELU before the sigmoid would floor it at 0.27
        pooled = 2 * channels + (STATISTICS if statistics else 0) + (2 * SIGHT_CHANNELS if sight else 0)
        self.pooled_mlp = nn.Sequential(  # L8
            nn.Linear(pooled, 32), nn.ELU(), nn.Linear(32, RAY_CHANNELS), nn.ELU()
        )
        # Projections without bias, as the matrices of eq. 6-8 are.
        self.ray_attention = MaskedAttention(RAY_CHANNELS, bias=False)  # L9
        self.ray_mlp = nn.Sequential(nn.Linear(RAY_CHANNELS, RAY_CHANNELS), nn.ELU())  # L10
        self.density_mlp = nn.Sequential(  # L11
            nn.Linear(RAY_CHANNELS, RAY_CHANNELS), nn.ELU(), nn.Linear(RAY_CHANNELS, 1)
        )
        self.color_score = nn.Linear(channels + DIRECTION_CHANNELS, 1)
        last = self.density_mlp[-1]
        assert isinstance(last, nn.Linear)
        # A ReLU whose input is below 0 at every sample never learns. With weights of the usual size one new network
        # in six starts so; smaller weights and a bias above 0 prevent it.
        nn.init.constant_(last.bias, 0.1)
        with torch.no_grad():
            last.weight.mul_(0.1)

    def forward(self, context: ContextSpace) -> Geometry:
        gated = self._gated(context)
        return Geometry(self._density(gated, context), self._blend(gated, context))

    def density(self, context: ContextSpace) -> Float[Tensor, "rays samples"]:
        """The density alone."""
        return self._density(self._gated(context), context)

    def color(self, context: ContextSpace) -> Float[Tensor, "rays samples 3"]:
        """The color alone."""
        return self._blend(self._gated(context), context)

    def _gated(self, context: ContextSpace) -> Tensor:
        gated: Tensor = self.token_mlp(context.tokens) * torch.sigmoid(self.gate(context.tokens))  # L4
        return gated

    def _density(self, gated: Tensor, context: ContextSpace) -> Tensor:
        seen, valid = context.valid.any(0), context.valid.unsqueeze(-1)
        pooled = [*mean_and_variance(gated, valid)]  # L5-L7
        if self.statistics:
            pooled.append(_agreement(context))
        if context.sight is not None:
            pooled += mean_and_variance(context.sight.to(gated), valid)
        along_ray = self.pooled_mlp(torch.cat(pooled, dim=-1))
        attended = self.ray_attention(along_ray, seen)
        along_ray = along_ray + attended if self.statistics else torch.relu(attended)
        return torch.relu(self.density_mlp(self.ray_mlp(along_ray)).squeeze(-1)) * seen

    def _blend(self, gated: Tensor, context: ContextSpace) -> Tensor:
        scores = self.color_score(torch.cat([gated, context.directions], dim=-1)).squeeze(-1)
        # Finite, not -inf: a sample that no view sees would make the softmax NaN.
        weights = torch.softmax(scores.masked_fill(~context.valid, -1e9), dim=0) * context.valid
        return (weights.unsqueeze(-1) * context.colors).sum(0)


def mean_and_variance(
    values: Float[Tensor, "views rays samples channels"], valid: Bool[Tensor, "views rays samples 1"]
) -> tuple[Float[Tensor, "rays samples channels"], Float[Tensor, "rays samples channels"]]:
    """Mean and biased variance over the valid views; zero where there is none."""
    weights = valid.to(values) / valid.sum(0).clamp_min(1)
    mean = (weights * values).sum(0)
    return mean, (weights * (values - mean) ** 2).sum(0)


def _agreement(context: ContextSpace) -> Float[Tensor, "rays samples statistics"]:
    """The STATISTICS, about unit range.

    Fewer than two views cannot disagree: their log variances are 0, and the fraction of valid views tells so.
    """
    valid = context.valid.unsqueeze(-1)
    color_mean, color_variance = mean_and_variance(context.colors, valid)
    _, feature_variance = mean_and_variance(context.features, valid)
    alone = valid.sum(0) < 2
    logs = [
        torch.where(alone, 0.0, torch.log(variance + 1e-4) / 3 + 1.5)
        for variance in (color_variance, feature_variance.mean(-1, keepdim=True))
    ]
    return torch.cat([color_mean, *logs, valid.to(color_mean).mean(0)], dim=-1)
