"""NeuRay with a semantic head: image-based rendering that knows which views an object hides a point from.

Source: Neural Rays for Occlusion-aware Image-based Rendering, Liu et al., CVPR 2022, sections 3.2 to 3.4. Each source
view has a map of visibility features, made from its depth picture or from a cost volume with its neighbors; they say
how visible a point is from the view, and weigh its features, its color and its semantics in IBRNet's aggregation
(view_aggregation.py). Deviations: this project's encoder; the cost volume is smoothed by the 2D network that makes the
visibility features, not by a 3D one; a sample stands for a fixed stretch of a source's ray; the visibility maps start
at the depth they were made from and stay near it; a view counts by the decoded visibility itself, where NeuRay learns
a gate on its features; the semantic head shares the classifier of the views' features; and the loss that binds the
visibility to the rendered weights, which NeuRay refines a scene with, is left out: all systems have the same losses.

With `attention` S-Ray's Cross-Reprojection Attention refines the features that semantics are read from: what the
released code of Semantic-Ray is, a NeuRay with attention on top. Visibility weighs the refined features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor, nn

from sray.attention import AttentionVariant
from sray.backbone import new_encoder
from sray.camera import FEATURE_STRIDE, feature_grid
from sray.context import ContextBuilder, EncodedViews
from sray.encoder import FEATURE_CHANNELS
from sray.errors import ModelError
from sray.frames import SourceViews
from sray.ray_model import RayModel
from sray.sampling import ROOM_BOUNDS, Bounds, DepthRange, Spacing, uniform_samples
from sray.stereo import StereoNetwork
from sray.stereo.layers import convolution
from sray.view_selection import nearest_views
from sray_train.configuration import CHECKED
from sray_train.paper.baselines.picture_encoder import EncoderOptions, cell_features
from sray_train.paper.baselines.plane_sweep import MATCHED_CHANNELS, matched, matched_maps
from sray_train.paper.baselines.view_aggregation import LEAST_TRUST, AggregationHead, ViewEvidence
from sray_train.paper.baselines.visibility import HitDecoder

VisibilityFrom = Literal["cost_volume", "depth"]
ESTIMATE_CHANNELS = 2
"""Normalized coordinate of the surface, and how sure that is."""


@checked_dataclass(frozen=True, config=CHECKED)
class NeuRayOptions(EncoderOptions):
    """What an experiment file sets of NeuRay."""

    visibility: VisibilityFrom = "cost_volume"
    """What visibility is made from: the sources matched with each other (RGB), or their depth pictures (RGB-D)."""
    planes: Annotated[int, Field(ge=2)] = 32
    """Of the cost volume."""
    neighbours: PositiveInt = 3
    """Other source views that each is matched with, the nearest."""
    attention: AttentionVariant = "none"
    """S-Ray's attention on what semantics are read from: `full` is what the released code of Semantic-Ray is."""
    stereo: bool = False
    """A stereo network gives depth to source views that have none, and visibility is made from it (not the paper's)."""
    refined_stereo: bool = False
    """It finds depth once more, finely, around what its sweep of planes found."""
    spacing: Spacing = "log"
    """Even samples in log depth, or in inverse depth."""

    def __post_init__(self) -> None:
        if self.refined_stereo and not self.stereo:
            raise ValueError("refined_stereo is true without stereo; expected stereo, to refine")
        if self.stereo and self.visibility != "depth":
            raise ValueError(f"visibility is {self.visibility!r} beside stereo; expected 'depth', to read it")


@checked_dataclass(frozen=True, config=CHECKED, kw_only=True)
class NeuRayConfig(NeuRayOptions):
    """The network."""

    classes: int


@dataclass(frozen=True)
class NeuRayViews(EncodedViews):
    """Source views that know what they see."""

    visibility: Float[Tensor, "views channels rows columns"]
    """Visibility features; the last ESTIMATE_CHANNELS are the estimate they were made from."""
    range: DepthRange
    """That coordinates are normalized by: camera z of each view."""


class NeuRay(RayModel):
    """IBRNet's aggregation among the views that are not occluded."""

    system = "neuray"
    config_type = NeuRayConfig
    options_type = NeuRayOptions

    def __init__(self, config: NeuRayConfig) -> None:
        super().__init__(config)
        self.encoder = new_encoder(config.encoder)
        self.stereo = StereoNetwork(refines=config.refined_stereo) if config.stereo else None
        self.context = ContextBuilder(zero_directions=False)
        scores = config.planes if config.visibility == "cost_volume" else 0
        # Normalized, to its last layer: features that grow would flatten every hit distribution.
        self.visibility_network = nn.Sequential(
            convolution(FEATURE_CHANNELS + ESTIMATE_CHANNELS + scores, 32),
            convolution(32, 32),
            convolution(32, FEATURE_CHANNELS),
        )
        if config.visibility == "cost_volume":
            self.match = nn.Linear(MATCHED_CHANNELS, 1)
            nn.init.constant_(self.match.weight, -8 / MATCHED_CHANNELS)  # what disagrees is no surface
        self.decoder = HitDecoder(FEATURE_CHANNELS + ESTIMATE_CHANNELS)
        self.coarse: AggregationHead = AggregationHead(config.classes, 2, config.attention)
        self.fine: AggregationHead = AggregationHead(config.classes, 2, config.attention)

    @property
    def reads_depth(self) -> bool:
        """With stereo: depth that is worn in training, as what stereo finds is."""
        return bool(self.config.stereo)

    def encode(
        self,
        views: SourceViews,
        features: Float[Tensor, "views channels rows columns"] | None = None,
        bounds: Bounds = ROOM_BOUNDS,
    ) -> NeuRayViews:
        """Features, and visibility features from them.

        Raises ModelError if visibility is to come from depth, the views have none, and the model has no stereo network
        to give it to them.
        """
        encoded = super().encode(views, features, bounds)
        depth_range = self.depth_range(bounds)
        if self.config.visibility == "depth":
            estimate = inputs = self._measured(views, depth_range)
        else:
            estimate, scores = self._matched(encoded, depth_range)
            inputs = torch.cat([estimate, scores], dim=1)
        made = self.visibility_network(torch.cat([cell_features(encoded), inputs], dim=1)).to(encoded.features)
        return NeuRayViews(
            encoded.images,
            encoded.camera,
            encoded.features,
            torch.cat([made, estimate], dim=1),
            depth_range,
            reading_scale=encoded.reading_scale,
        )

    def observe(
        self, views: EncodedViews, origin: Float[Tensor, "3"], points: Float[Tensor, "rays samples 3"]
    ) -> ViewEvidence:
        """Views count by how visible a sample is from them."""
        assert isinstance(views, NeuRayViews), "views of another system"
        context = self.context(views, origin, points)
        with torch.autocast(points.device.type, enabled=False):
            seen = views.camera.project(points)
            rows, columns = views.visibility.shape[-2:]
            grid = feature_grid(seen.pixels, columns, rows).clamp(-2, 2)
            sampled = F.grid_sample(views.visibility, grid, padding_mode="border", align_corners=False)
            sampled = sampled.permute(0, 2, 3, 1)
            depth = torch.where(context.valid, seen.depth, views.range.near)
            place = views.range.coordinate_of(depth)
        hits = self.decoder(sampled, sampled[..., -ESTIMATE_CHANNELS])
        visible, hit = hits.visibility_and_hit(place)
        trust = visible.clamp_min(LEAST_TRUST) * context.valid
        return ViewEvidence(context, trust, torch.stack([visible, hit], dim=-1) * context.valid.unsqueeze(-1))

    def _measured(self, views: SourceViews, depth_range: DepthRange) -> Float[Tensor, "views 2 rows columns"]:
        """The sources' depth at the cells' centers; what is unknown is taken for far, and is not sure."""
        depth = views.depth
        if depth is None and self.config.stereo:  # which found nothing
            depth = torch.full_like(views.images[:, 0], torch.nan)
        if depth is None:
            raise ModelError(
                "this NeuRay reads visibility from the source views' depth, and they have none",
                "RGB-D views (--depth)",
                "For RGB train one with model.visibility cost_volume",
            )
        depth = depth[:, ::FEATURE_STRIDE, ::FEATURE_STRIDE]
        known = depth.isfinite() & (depth > 0)
        place = depth_range.coordinate_of(torch.where(known, depth, depth_range.far)).clamp(0, 1)
        sure = known.to(place)
        if views.depth_confidence is not None:
            sure = sure * views.depth_confidence[:, ::FEATURE_STRIDE, ::FEATURE_STRIDE].nan_to_num(0.0)
        return torch.stack([place, sure], dim=1)

    def _matched(
        self, views: EncodedViews, depth_range: DepthRange
    ) -> tuple[Float[Tensor, "views 2 rows columns"], Float[Tensor, "views planes rows columns"]]:
        """Where each view's cells match its neighbors' best, how clearly, and how likely each plane is."""
        with torch.autocast(views.images.device.type, enabled=False):
            maps = matched_maps(views)
            places = uniform_samples(1, self.config.planes, device=maps.device)[0]
            depths = depth_range.depth_of(places)
            planes = []
            for index in range(views.count):
                near = nearest_views(views.camera[index], views.camera, self.config.neighbours + 1)
                others = [other for other in near if other != index][: self.config.neighbours]
                found = matched(maps, views.camera, index, others, depths)
                scores = self.match(torch.log(found.variance + 1e-4).movedim(0, -1)).squeeze(-1)
                planes.append(scores.masked_fill(found.count < 2, -1e4))  # nobody else sees it: not even a bad match
            likely = torch.softmax(torch.stack(planes), dim=1)
            place = (likely * places[:, None, None]).sum(1)
            return torch.stack([place, likely.amax(1)], dim=1), likely
