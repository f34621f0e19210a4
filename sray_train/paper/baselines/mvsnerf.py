"""MVSNeRF with a semantic head: a radiance field in the frustum of one reference view, from a plane-swept cost volume.

Source: MVSNeRF, Fast Generalizable Radiance Field Reconstruction from Multi-View Stereo, Chen et al., ICCV 2021,
sections 3.1 to 3.3. The variance of warped features, and the warped colors beside it, become through a 3D U-Net a
volume of neural features; an MLP reads density and radiance at a point from the volume there, the point's place in the
frustum, the viewing direction and the source pictures' colors. Deviations: this project's encoder and any number of
views, so that colors enter the volume as the reference's and the views' mean, and the MLP by mean and variance, not
view by view; the reference is the central one of the views; outside of its frustum the volume is empty; coarse and fine
samples with an MLP each, smaller than the paper's. The semantic head reads the MLP's hidden layer, as Semantic-NeRF's
does, and so nothing of the encoder but the variance of its features, unless `semantics_from` says otherwise. Per-scene
optimization of the volume itself (their section 3.4) is left out: fine-tuning trains the networks, as it does for every
system here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor, nn

from sray.backbone import new_encoder
from sray.camera import feature_grid, image_grid
from sray.context import EncodedViews
from sray.density import mean_and_variance
from sray.frames import SourceViews
from sray.ray_model import RayModel
from sray.sampling import ROOM_BOUNDS, Bounds, DepthRange, Spacing, uniform_samples
from sray_train.configuration import CHECKED
from sray_train.paper.baselines.picture_encoder import EncoderOptions
from sray_train.paper.baselines.plane_sweep import MATCHED_CHANNELS, central_view, matched, matched_maps
from sray_train.paper.baselines.volume_head import VOLUME_CHANNELS, VolumeHead, VolumePoints

SemanticsFrom = Literal["volume", "views"]
COST_CHANNELS = MATCHED_CHANNELS + 1 + 3 + 3
"""Variance of features and colors; share of the views that see the voxel; the reference's color; the mean color."""


@checked_dataclass(frozen=True, config=CHECKED)
class MVSNeRFOptions(EncoderOptions):
    """What an experiment file sets of MVSNeRF."""

    planes: Annotated[int, Field(ge=2)] = 32
    """Of the cost volume, over near to far."""
    semantics_from: SemanticsFrom = "volume"
    """What the semantic head reads: the MLP, which knows the volume; or the mean of the views' features beside it."""
    spacing: Spacing = "log"
    """Even samples and planes in log depth, or in inverse depth."""


@checked_dataclass(frozen=True, config=CHECKED, kw_only=True)
class MVSNeRFConfig(MVSNeRFOptions):
    """The network."""

    classes: int


@dataclass(frozen=True)
class VolumeViews(EncodedViews):
    """Source views and the volume in the frustum of one of them."""

    volume: Float[Tensor, "channels planes rows columns"]
    reference: int
    """The view whose frustum it is."""
    range: DepthRange
    """Of the frustum: camera z of the reference."""


class MVSNeRF(RayModel):
    """A radiance field read from one cost volume."""

    system = "mvsnerf"
    config_type = MVSNeRFConfig
    options_type = MVSNeRFOptions

    def __init__(self, config: MVSNeRFConfig) -> None:
        super().__init__(config)
        self.encoder = new_encoder(config.encoder)
        self.volume_network = VolumeNetwork(COST_CHANNELS, VOLUME_CHANNELS)
        from_views = config.semantics_from == "views"
        self.coarse: VolumeHead = VolumeHead(config.classes, from_views=from_views)
        self.fine: VolumeHead = VolumeHead(config.classes, from_views=from_views)

    def encode(
        self,
        views: SourceViews,
        features: Float[Tensor, "views channels rows columns"] | None = None,
        bounds: Bounds = ROOM_BOUNDS,
    ) -> VolumeViews:
        """Features, and the volume that all views together make in the frustum of the central one."""
        encoded = super().encode(views, features, bounds)
        depth_range = self.depth_range(bounds)
        reference = central_view(encoded.camera)
        with torch.autocast(encoded.images.device.type, enabled=False):
            maps = matched_maps(encoded)
            places = uniform_samples(1, self.config.planes, device=maps.device)[0]
            depths = depth_range.depth_of(places)
            others = [index for index in range(encoded.count) if index != reference]
            found = matched(maps, encoded.camera, reference, others, depths)
            # The variance says whether views agree, and not on what: a picture and its negative have the same.
            own = maps[reference, -3:].unsqueeze(1).expand(-1, len(depths), -1, -1)
            cost = torch.cat([found.variance, found.count.unsqueeze(0) / encoded.count, own, found.mean[-3:]])
        volume = self.volume_network(cost).to(maps)
        return VolumeViews(
            encoded.images,
            encoded.camera,
            encoded.features,
            volume,
            reference,
            depth_range,
            reading_scale=encoded.reading_scale,
        )

    def observe(
        self, views: EncodedViews, origin: Float[Tensor, "3"], points: Float[Tensor, "rays samples 3"]
    ) -> VolumePoints:
        """The volume at the points, and what the views show there."""
        assert isinstance(views, VolumeViews), "views of another system"
        with torch.autocast(points.device.type, enabled=False):
            seen = views.camera.project(points)
            valid = seen.seen.unsqueeze(-1)
            colors = _sampled(views.images, image_grid(seen.pixels, views.camera.width, views.camera.height))
            feature = None
            if self.config.semantics_from == "views":
                read_rows, read_columns = views.features.shape[-2:]
                grid = feature_grid(seen.pixels, read_columns, read_rows, views.reading_scale)
                features = _sampled(views.features, grid)
                feature = mean_and_variance(features, valid)[0]
            camera = views.camera[views.reference]
            depth = seen.depth[views.reference].clamp_min(1e-3)
            along = 2 * views.range.coordinate_of(depth) - 1
            inside = seen.seen[views.reference] & (along.abs() <= 1)
            pixels = seen.pixels[views.reference]
            across = image_grid(pixels, camera.width, camera.height)
            place = torch.where(inside.unsqueeze(-1), torch.cat([across, along.unsqueeze(-1)], dim=-1), 0.0)
            rows, columns = views.volume.shape[-2:]
            grid = torch.cat([feature_grid(pixels, columns, rows), along.unsqueeze(-1)], dim=-1).clamp(-2, 2)
            volume = F.grid_sample(
                views.volume.unsqueeze(0), grid[None, ..., None, :], padding_mode="border", align_corners=False
            )
            direction = F.normalize(points - origin, dim=-1) @ camera.world_from_camera[:3, :3]
            return VolumePoints(
                volume[0, ..., 0].movedim(0, -1) * inside.unsqueeze(-1),
                place,
                direction,
                torch.cat(mean_and_variance(colors, valid), dim=-1),
                feature,
                inside,
                seen.seen.sum(0),
            )


def _sampled(
    maps: Float[Tensor, "views channels rows columns"], grid: Float[Tensor, "views rays samples 2"]
) -> Float[Tensor, "views rays samples channels"]:
    sampled = F.grid_sample(maps, grid.clamp(-2, 2), padding_mode="border", align_corners=False)
    return sampled.permute(0, 2, 3, 1)


class VolumeNetwork(nn.Module):
    """Two levels down and up again, with skips. Deviation: instance norm, as there is one volume at a time."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fine_level = _block(inputs, 8)
        self.middle_level = nn.Sequential(_block(8, 16, stride=2), _block(16, 16))
        self.coarse_level = nn.Sequential(_block(16, 32, stride=2), _block(32, 32))
        self.up_to_middle = _block(32 + 16, 16)
        self.up_to_fine = nn.Conv3d(16 + 8, outputs, 3, padding=1)

    def forward(
        self, volume: Float[Tensor, "inputs planes rows columns"]
    ) -> Float[Tensor, "outputs planes rows columns"]:
        fine = self.fine_level(volume.unsqueeze(0))
        middle = self.middle_level(fine)
        merged = self.up_to_middle(torch.cat([_like(self.coarse_level(middle), middle), middle], dim=1))
        encoded: Tensor = self.up_to_fine(torch.cat([_like(merged, fine), fine], dim=1))
        return encoded[0]


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride, padding=1), nn.InstanceNorm3d(outputs, affine=True), nn.ReLU()
    )


def _like(coarse: Tensor, fine: Tensor) -> Tensor:
    return F.interpolate(coarse, size=fine.shape[2:], mode="trilinear", align_corners=False)
