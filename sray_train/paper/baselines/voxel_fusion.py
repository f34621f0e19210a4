"""Voxel fusion: 2D labels of the source views fused into voxels, and the voxels looked at from anywhere.

What a robotics engineer would take instead of a radiance field. Sources in voxel_grid.py. Deviations: occupancy is
judged once all views are fused, by each voxel's center in each view, instead of ray by ray; the map is of the same few
source views as the other systems have, and made anew for each picture.

    fusion = VoxelFusion(NetworkLabels(model), depth_from=SemanticField(model))
    fusion.set_sources(views)          # sensor depth where the views have it, else rendered depth
    view = fusion.render(camera)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.errors import ModelError, NoViewsError
from sray.field import RenderedView, SemanticField
from sray.frames import SourceViews
from sray.label_space import VOID
from sray.sampling import ROOM_BOUNDS
from sray_train.paper.baselines.picture_labels import PictureLabels
from sray_train.paper.baselines.voxel_grid import Sighting, VoxelGrid


@dataclass(frozen=True)
class VoxelFusionConfig:
    """How labels are fused."""

    voxel_size: float = 0.05
    """Edge of a voxel, meters."""
    least_probability: float = 0.01
    """Of a class in a picture: networks are surer than they are right, and a single zero could not be outvoted."""

    def __post_init__(self) -> None:
        if not 0 < self.voxel_size < math.inf:
            raise ValueError(f"voxel_size is {self.voxel_size}; expected more than 0 meters")
        if not 0 < self.least_probability < 1:
            raise ValueError(f"least_probability is {self.least_probability}; expected more than 0, less than 1")


class VoxelFusion:
    """In SemanticField's place where pictures are scored. Works on the CPU. Not thread safe."""

    system: ClassVar[str] = "voxel_fusion"

    def __init__(
        self, labels: PictureLabels, depth_from: SemanticField | None = None, config: VoxelFusionConfig | None = None
    ) -> None:
        """`depth_from`: what renders the depth of source views that have none."""
        self.config = config or VoxelFusionConfig()
        self._labels = labels
        self._depth_from = depth_from
        self._grid: VoxelGrid | None = None
        self._bounds = ROOM_BOUNDS

    @torch.inference_mode()
    def set_sources(self, views: SourceViews, *, bounds: tuple[float, float] | None = None) -> None:
        """Fuse these views. `bounds`: near and far in meters (camera z), between which depth counts; None: 0.5 to 8.

        Raises ModelError for views without depth and nothing to render it.
        """
        self._bounds = near, far = bounds or ROOM_BOUNDS
        views = views.to("cpu")
        depth = self._rendered_depth(views) if views.depth is None else views.depth
        depth = torch.where((depth > near) & (depth < far), depth, torch.nan)
        likelihood = self._labels(views).clamp_min(self.config.least_probability).log()
        sightings = [_sighting(views, index, depth[index], likelihood[index]) for index in range(views.count)]
        self._grid = VoxelGrid.fused(sightings, self.config.voxel_size).occupied(views.camera, depth)

    @torch.inference_mode()
    def render(self, camera: Camera) -> RenderedView:
        """The first voxel on each pixel's ray: its likeliest class, its color, the middle of the ray's way through it.

        Raises NoViewsError before `set_sources`.
        """
        if self._grid is None:
            raise NoViewsError("render() has no source views", remedy="Call set_sources(views) first")
        camera, grid = camera.to("cpu"), self._grid
        view = RenderedView.blank(camera)
        view.labels.fill_(VOID)
        view.depth.fill_(torch.nan)
        view.depth_with_void.fill_(torch.nan)
        hits = grid.cast(camera.center, camera.ray_directions(camera.pixel_grid()), self._bounds)
        hit = hits.voxel >= 0
        voxel = hits.voxel[hit]
        confidence, labels = grid.posterior[voxel].max(-1)
        depth = ((hits.entry + hits.exit) / 2)[hit].float()
        for whole, part in (
            (view.labels, labels.to(torch.uint8)),
            (view.confidence, confidence),
            (view.common_color, grid.color[voxel]),
            (view.depth, depth),
            (view.depth_with_void, depth),
            (view.opacity, torch.ones_like(confidence)),
            (view.coverage, grid.sightings[voxel].clamp_max(255).to(torch.uint8)),
        ):
            whole.flatten(0, 1)[hit] = part
        return view

    def _rendered_depth(self, views: SourceViews) -> Float[Tensor, "views height width"]:
        """Each view's, rendered from the others; a single one from itself."""
        if self._depth_from is None:
            raise ModelError(
                "voxel fusion has source views without depth, and no field to render it",
                "RGB-D views (--depth), or `depth_from`",
            )
        depths = []
        for index in range(views.count):
            others = [other for other in range(views.count) if other != index] or [index]
            self._depth_from.set_sources(views[others], bounds=self._bounds)
            depths.append(self._depth_from.render(views.camera[index]).depth)
        return torch.stack(depths)


def _sighting(
    views: SourceViews,
    index: int,
    depth: Float[Tensor, "height width"],
    log_likelihood: Float[Tensor, "height width classes"],
) -> Sighting:
    camera = views.camera[index]
    known = depth.isfinite().flatten()
    directions = camera.ray_directions(camera.pixel_grid()[known])
    return Sighting(
        camera.center + depth.flatten()[known].unsqueeze(-1) * directions,
        views.images[index].permute(1, 2, 0).flatten(0, 1)[known],
        log_likelihood.flatten(0, 1)[known],
    )
