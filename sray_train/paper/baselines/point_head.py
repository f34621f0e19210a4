"""PointHead: a radiance field's pass with a semantic head. What a point has is composited, and nothing else is known.

Semantic-NeRF (Zhi et al., ICCV 2021, section 3.2): beside density and color, the network of a point has an output for
semantics that does not depend on the viewing direction; logits are composited with the weights of the colors.
Deviation: 32 channels are composited and classified once a ray, which is the same, as the classifier is linear.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sray.encoder import FEATURE_CHANNELS
from sray.ray_model import Head
from sray.ray_output import RayOutput
from sray.volume import composite, compositing_weights, step_lengths


class PointHead(Head):
    """A subclass says what is known of points (`gather`), and reads density, color and semantics from that."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(FEATURE_CHANNELS, classes)

    def gather(self, observed: Any) -> Any:
        """What all three outputs read; its `seen_by` (rays, samples): source views that see a sample."""
        raise NotImplementedError

    def density(self, points: Any, coordinates: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
        """At least 0, and 0 where no view sees the sample."""
        raise NotImplementedError

    def color(self, points: Any) -> Float[Tensor, "rays samples 3"]:
        """0..1."""
        raise NotImplementedError

    def semantics(
        self, points: Any, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples channels"]:
        """What the classifier reads once it is composited."""
        raise NotImplementedError

    def forward(
        self,
        observed: Any,
        coordinates: Float[Tensor, "rays samples"],
        depths: Float[Tensor, "rays samples"],
        *,
        semantics: bool = True,
    ) -> RayOutput:
        points = self.gather(observed)
        weights = compositing_weights(self.density(points, coordinates), step_lengths(coordinates))
        output = RayOutput.along(weights, coordinates, depths, self.color(points), points.seen_by.to(weights))
        if not semantics:
            return output
        semantic_ray = composite(weights, self.semantics(points, coordinates))
        return replace(output, logits=self.classify(self.classifier, semantic_ray, output.opacity))

    def surface_weights(
        self, observed: Any, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples"]:
        return compositing_weights(self.density(self.gather(observed), coordinates), step_lengths(coordinates))

    def tint(self, observed: Any) -> Float[Tensor, "rays samples 3"]:
        return self.color(self.gather(observed))


def two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Linear, ELU, Linear."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ELU(), nn.Linear(hidden, outputs))


def starting_at_zero(network: nn.Sequential) -> nn.Sequential:
    """The network with its last layer at zero: what its output is added to is all there is at first."""
    last = network[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return network


class DensityMLP(nn.Module):
    """A point's feature to its density. Softplus, where the papers have ReLU: that can end at 0 everywhere for good."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.layers = two_layers(inputs, hidden, 1)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, -2.25)  # a density of 0.1: thin, and alike along the whole ray

    def forward(self, features: Float[Tensor, "rays samples channels"]) -> Float[Tensor, "rays samples"]:
        return F.softplus(self.layers(features).squeeze(-1))
