"""TileRenderer: one camera's picture, tile by tile. Guide the samples, shade, and upsample where that was left out."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sray.camera import Camera
from sray.frames import SourceViews
from sray.guidance import PixelGrid, Window, distribution_around, nearest_depth, spread
from sray.ray_engine import RayEngine
from sray.rays import RayBundle
from sray.render_config import RenderConfig
from sray.sampling import DepthRange, importance_samples, joined_samples, uniform_samples
from sray.shaded import Shaded
from sray.upsampling import upsample_along_colors

FINENESS = 4
"""Bins of the guide for each sample that looks for the surface: a depth that is known is known to a few percent, and
rays end at the first samples that are near a surface. A peak as wide as a look's bins would bring it forward by 8 %."""
WIDE = 0.12
"""Spread of the guide, in normalized coordinates, above which the surface may be in several places."""


class TileRenderer:
    """Renders windows of one camera's pixels; the result does not depend on how the picture is cut into windows."""

    def __init__(
        self,
        engine: RayEngine,
        config: RenderConfig,
        camera: Camera,
        sources: SourceViews,
        depth_range: DepthRange,
    ) -> None:
        self._engine = engine
        self._config = config
        self._camera = camera
        self._device = camera.intrinsics.device
        self._range = depth_range
        self._cells = PixelGrid(camera.width, camera.height, config.label_stride)
        self._looked_at = PixelGrid(camera.width, camera.height, config.coarse_stride)
        self._measured: PixelGrid | None = None
        if sources.depth is not None:
            # A cell about as large as a pixel of the sources: finer than their depth is nothing to be had.
            stride = max(config.label_stride, round(camera.width / sources.camera.width))
            self._measured = PixelGrid(camera.width, camera.height, stride)
            self._depth = nearest_depth(sources, camera, self._measured)

    def render(self, window: Window) -> Shaded:
        """Every pixel of the window."""
        if self._config.label_stride == 1:
            return self._shade(window)
        cells = window.around(self._cells)
        return upsample_along_colors(window, cells, self._shade(cells), self._tint)

    def _tint(self, pixels: Float[Tensor, "rays 2"], depth: Float[Tensor, " rays"]) -> Float[Tensor, "rays 3"]:
        coordinates = self._range.coordinate_of(self._range.clamp(depth))
        return self._engine.tint(self._rays(pixels), coordinates.unsqueeze(-1))

    def _shade(self, window: Window) -> Shaded:
        """Every cell of the window, with as many samples as its guide asks for, and none where nothing is."""
        config, (guide, measured) = self._config, self._guide(window)
        rays = self._rays(window.pixels(guide.device))
        seen = guide.sum(-1) > 1e-6
        wide = seen & (spread(guide) > WIDE)
        narrow = seen & ~wide
        groups = (
            (config.measured_samples, narrow & measured),
            (config.fine_samples, narrow & ~measured),
            (config.wide_samples, wide),
        )
        shaded: Shaded | None = None
        for samples, group in groups:
            index = torch.nonzero(group).squeeze(-1)
            coordinates = joined_samples(importance_samples(guide[index], samples), config.whole_ray_samples)
            found = self._engine.shade(rays[index], coordinates)
            # A sensor saw the surface: the light ends there, however short the stretch that was sampled.
            part = Shaded.of(found.opaque(measured[index]))
            shaded = shaded or part.blank(len(rays))
            shaded.put(index, part)
        assert shaded is not None
        return shaded

    def _guide(self, window: Window) -> tuple[Float[Tensor, "cells bins"], Bool[Tensor, " cells"]]:
        """Where along each cell's ray surfaces are, and whether the sources' depth says so; else the network does."""
        if self._measured is None:
            return self._found(window), torch.zeros(window.count, dtype=torch.bool, device=self._device)
        around = window.around(self._measured)
        depth = self._depth[around.top : around.bottom, around.left : around.right].flatten()
        peaks, known = distribution_around(depth, FINENESS * self._config.coarse_samples, self._range)
        guide = window.mix(around, peaks.reshape(*around.shape, -1)).flatten(0, 1)
        share = window.mix(around, known.float().reshape(*around.shape, 1)).flatten()
        measured = share > 0.99
        if not measured.all():
            found = self._found(window, ~measured).repeat_interleave(FINENESS, dim=-1) / FINENESS
            guide = guide + (1 - share.unsqueeze(-1)) * found
        return guide, measured

    def _found(self, window: Window, wanted: Bool[Tensor, " cells"] | None = None) -> Float[Tensor, "cells bins"]:
        """What the network finds for the cells, all of them or those wanted; looked for on the coarser grid."""
        around = window.around(self._looked_at)
        pixels = around.pixels(self._device)
        found = torch.zeros(len(pixels), self._config.coarse_samples, device=self._device)
        needed = torch.ones(len(pixels), dtype=torch.bool, device=self._device)
        if wanted is not None:
            needed = around.touched(window, wanted.reshape(window.shape)).flatten()
        found[needed] = self._look(pixels[needed])
        return window.mix(around, found.reshape(*around.shape, -1)).flatten(0, 1)

    def _look(self, pixels: Float[Tensor, "rays 2"]) -> Float[Tensor, "rays bins"]:
        coordinates = uniform_samples(pixels.shape[0], self._config.coarse_samples, device=pixels.device)
        return self._engine.look(self._rays(pixels), coordinates)

    def _rays(self, pixels: Float[Tensor, "rays 2"]) -> RayBundle:
        return RayBundle(self._camera, pixels, self._range)
