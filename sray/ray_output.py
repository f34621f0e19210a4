"""RayOutput: what a system finds along rays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sray.volume import composite


@dataclass(frozen=True)
class RayOutput:
    """What was found along rays."""

    logits: Float[Tensor, "rays classes"] | None
    """Classified semantic rays (eq. 13); zero where nothing is seen. None where only geometry was asked for."""
    color: Float[Tensor, "rays 3"]
    """0..1, black where nothing is seen."""
    depth: Float[Tensor, "rays"]
    """Camera z in meters: sum w z / sum w; near 0 / 0 where nothing is seen, so read it with `opacity`."""
    opacity: Float[Tensor, "rays"]
    """Sum of the weights, 0..1."""
    coverage: Float[Tensor, "rays"]
    """Source views that see what the ray shows: valid views, averaged with the weights."""
    weights: Float[Tensor, "rays samples"]
    coordinates: Float[Tensor, "rays samples"]
    """Normalized sample coordinates, ascending."""

    @staticmethod
    def along(
        weights: Float[Tensor, "rays samples"],
        coordinates: Float[Tensor, "rays samples"],
        depths: Float[Tensor, "rays samples"],
        colors: Float[Tensor, "rays samples 3"],
        seen_by: Float[Tensor, "rays samples"],
    ) -> RayOutput:
        """What samples add up to under compositing weights; without logits, which need more than a sum.

        `seen_by`: source views that see a sample.
        """
        opacity = weights.sum(-1)
        return RayOutput(
            logits=None,
            color=composite(weights, colors),
            depth=(weights * depths).sum(-1) / opacity.clamp_min(1e-6),
            opacity=opacity,
            coverage=(weights * seen_by).sum(-1) / opacity.clamp_min(1e-6),
            weights=weights,
            coordinates=coordinates,
        )

    def opaque(self, rays: Bool[Tensor, " rays"]) -> RayOutput:
        """The same with the opacity of some rays raised to 1, and what is composited along them raised alike.

        Rays on which nothing is found stay as they are.
        """
        scale = torch.where(rays & (self.opacity > 1e-3), 1 / self.opacity.clamp_min(1e-3), 1.0)
        return replace(
            self,
            logits=None if self.logits is None else self.logits * scale.unsqueeze(-1),  # linear, bias included
            color=self.color * scale.unsqueeze(-1),
            opacity=self.opacity * scale,
            weights=self.weights * scale.unsqueeze(-1),
        )
