"""NeRF: color and geometry of one scene, learned by heart. It knows no classes.

Source: NeRF, Representing Scenes as Neural Radiance Fields for View Synthesis, Mildenhall et al., ECCV 2020, sections 3
to 5.3; deviations in coordinate_network.py. Here every system answers with classes: this one gives the class that is
commonest in what it was taught, everywhere, by a constant that labels teach and that reaches nothing else. Its mIoU
says nothing; its color and depth are NeRF's. With `loss: {semantic: 0}` not even the constant is taught.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from sray.encoder import FEATURE_CHANNELS
from sray_train.paper.baselines.coordinate_network import CoordinateHead, CoordinateModel, KnownPlaces


class RadianceHead(CoordinateHead):
    """Density and color; of the classifier the bias alone says anything."""

    def semantics(
        self, points: KnownPlaces, coordinates: Float[Tensor, "rays samples"]
    ) -> Float[Tensor, "rays samples channels"]:
        return points.values.new_zeros(*points.values.shape[:2], FEATURE_CHANNELS)

    @staticmethod
    def classify(
        classifier: nn.Linear, semantic_ray: Float[Tensor, "rays channels"], opacity: Float[Tensor, " rays"]
    ) -> Float[Tensor, "rays classes"]:
        """Labels must not teach geometry: that would be another system."""
        return CoordinateHead.classify(classifier, semantic_ray, opacity.detach())


class NeRF(CoordinateModel):
    """A radiance field of one scene."""

    system = "nerf"
    head_type = RadianceHead
    knows_classes = False
