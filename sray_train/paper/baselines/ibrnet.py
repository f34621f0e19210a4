"""IBRNet with a semantic head.

Source: IBRNet, Learning Multi-View Image-Based Rendering, Wang et al., CVPR 2021, sections 3.1 to 3.3; the semantic
head as in view_aggregation.py. Deviations: this project's encoder (one feature map where IBRNet has a coarse and a fine
half), position along the ray as the normalized coordinate, softplus for ReLU in the density, step lengths in the
compositing; a view's feature and its weight come from one MLP, where IBRNet has three. IBRNet's optional pooling by
angle at the start is left out: a view's token knows its angle.
"""

from __future__ import annotations

from jaxtyping import Float
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor

from sray.backbone import new_encoder
from sray.context import ContextBuilder, EncodedViews
from sray.ray_model import RayModel
from sray.sampling import Spacing
from sray_train.configuration import CHECKED
from sray_train.paper.baselines.picture_encoder import EncoderOptions
from sray_train.paper.baselines.view_aggregation import AggregationHead, ViewEvidence


@checked_dataclass(frozen=True, config=CHECKED)
class IBRNetOptions(EncoderOptions):
    """What an experiment file sets of IBRNet."""

    spacing: Spacing = "log"
    """Even samples in log depth, or in inverse depth."""


@checked_dataclass(frozen=True, config=CHECKED, kw_only=True)
class IBRNetConfig(IBRNetOptions):
    """The network."""

    classes: int


class IBRNet(RayModel):
    """Image-based rendering: what nearby views agree on, point by point."""

    system = "ibrnet"
    config_type = IBRNetConfig
    options_type = IBRNetOptions

    def __init__(self, config: IBRNetConfig) -> None:
        super().__init__(config)
        self.encoder = new_encoder(config.encoder)
        self.context = ContextBuilder(zero_directions=False)
        self.coarse: AggregationHead = AggregationHead(config.classes)
        self.fine: AggregationHead = AggregationHead(config.classes)

    def observe(
        self, views: EncodedViews, origin: Float[Tensor, "3"], points: Float[Tensor, "rays samples 3"]
    ) -> ViewEvidence:
        """All views that see a sample count alike."""
        context = self.context(views, origin, points)
        return ViewEvidence(context, context.valid.to(points), points.new_zeros(*context.valid.shape, 0))
