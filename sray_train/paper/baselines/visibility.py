"""Visibility of points from a source view: NeuRay's hit distributions.

NeuRay (Liu et al., CVPR 2022), section 3.3: where the ray of a source view's pixel hits a surface is a random depth,
whose distribution is a mixture of logistics, decoded from the pixel's visibility feature. A point is visible as far as
the ray has not hit before it: 1 - t(z). Depths are normalized coordinates here.
Reference twin: test/reference/visibility.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from sray_train.paper.baselines.point_head import starting_at_zero, two_layers

LOGISTICS = 2
"""Surfaces a ray may hit: two at the edge of a thing."""
REACH = 0.1
"""How far, in normalized coordinates, a surface may lie from the estimate: in a room three tenths of its depth. Without
a bound early steps drive it beyond all that is seen, and visibility is 1 everywhere for good."""
INTERVAL = 1 / 32
"""Stretch of a ray, in normalized coordinates, that a sample stands for."""


@dataclass(frozen=True)
class HitDistribution:
    """Where rays of source views hit: a mixture of logistics over the normalized coordinate."""

    location: Float[Tensor, "*shape logistics"]
    scale: Float[Tensor, "*shape logistics"]
    """Above 0."""
    share: Float[Tensor, "*shape logistics"]
    """Sum to 1."""

    def hit_before(self, coordinates: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """t(z): the probability that the ray has hit something by then."""
        return (self.share * torch.sigmoid((coordinates.unsqueeze(-1) - self.location) / self.scale)).sum(-1)

    def visibility_and_hit(
        self, coordinates: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Of the stretch around each point: that it is reached, and that the ray ends in it."""
        before = self.hit_before(coordinates - INTERVAL / 2)
        return 1 - before, self.hit_before(coordinates + INTERVAL / 2) - before


class HitDecoder(nn.Module):
    """Visibility feature to hit distribution. Starts with both logistics at the feature's own estimate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mlp = starting_at_zero(two_layers(channels, channels, 3 * LOGISTICS))
        last = self.mlp[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias[LOGISTICS : 2 * LOGISTICS] = -3.0  # softplus: a twentieth of the range

    def forward(self, features: Float[Tensor, "*shape channels"], estimate: Float[Tensor, "*shape"]) -> HitDistribution:
        """`estimate`: the coordinate that locations are offsets from."""
        offset, scale, share = self.mlp(features).to(estimate).chunk(3, dim=-1)
        # Half a twentieth apart at first: two that are alike would stay so.
        apart = torch.linspace(-0.0125, 0.0125, LOGISTICS, device=estimate.device)
        return HitDistribution(
            estimate.unsqueeze(-1) + apart + REACH * torch.tanh(offset),
            F.softplus(scale) + 1e-3,
            torch.softmax(share, dim=-1),
        )
