"""Semantic-NeRF: color, geometry and classes of one scene, learned by heart.

Source: In-Place Scene Labeling and Understanding with Implicit Scene Representation, Zhi et al., ICCV 2021, section
3.2: NeRF with logits that depend on the place and not on the viewing direction, read from the last layer that knows the
place alone, by one hidden layer half as wide. Deviations: those of coordinate_network.py; 32 channels are composited
and classified once a ray (point_head.py); the semantic term weighs 1, as the Semantic-Ray paper has it for both
systems, and depth may teach as it teaches every system here.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from sray.encoder import FEATURE_CHANNELS
from sray_train.paper.baselines.coordinate_network import (
    CoordinateHead,
    CoordinateModel,
    CoordinateOptions,
    KnownPlaces,
)
from sray_train.paper.baselines.point_head import two_layers


class SemanticCoordinateHead(CoordinateHead):
    """Density, color, and classes that look the same from everywhere."""

    def __init__(self, classes: int, options: CoordinateOptions) -> None:
        super().__init__(classes, options)
        self.semantic_mlp = two_layers(options.width, options.width // 2, FEATURE_CHANNELS)

    def semantics(
        self, points: KnownPlaces, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples channels"]:
        semantics: Tensor = self.semantic_mlp(points.values)
        return semantics


class SemanticNeRF(CoordinateModel):
    """A semantic radiance field of one scene."""

    system = "semantic_nerf"
    head_type = SemanticCoordinateHead
