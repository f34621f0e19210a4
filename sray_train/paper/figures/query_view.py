"""A held-out picture, the source pictures it is rendered from, and rays through it: what Figures 6 and 7 look at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from sray.camera import Projection
from sray.context import EncodedViews
from sray.frames import Frame, SourceViews
from sray.model import SemanticRay
from sray.rays import RayBundle
from sray.sampling import importance_samples, uniform_samples
from sray_train.paper.figures.fine_pass import FinePass, fine_pass
from sray_train.score.evaluate import Query

EVEN_SAMPLES = 48
"""Samples a ray of the maps: evenly from near to far, so that a row reads as a depth."""
COARSE_SAMPLES, FINE_SAMPLES = 64, 16
"""64 even samples find the surface, 16 are placed around it. (No quality of render has just these numbers.)"""
AROUND_SURFACE = 0.03
"""Normalized coordinates to either side of a recorded surface that are sampled: 9 % of its depth, from 0.5 to 8 m."""
RAY_SPACING = 16
"""Pixels between the rays of a picture that numbers are taken from, at 160 pixels of width."""
LEAST_OPACITY = 0.5
"""A ray of less opacity has no surface."""
HIDDEN_BEHIND = 1.05
"""A sample this many times deeper in a view than what the view's sensor saw there is hidden from it."""


@dataclass(frozen=True)
class QueryRays:
    """Rays through a picture, and what the fine head did along them."""

    pixels: Float[Tensor, "rays 2"]
    """Column and row in the target."""
    passed: FinePass
    projection: Projection
    """Of the samples in the source views, (views, rays, samples)."""
    visible: Bool[Tensor, "views rays samples"] | None
    """Nothing stands between the view and the sample, by the view's recorded depth; None where depth is unknown."""

    surface: Int64[Tensor, " rays"]
    """Of each ray the sample that is its surface."""
    found: Bool[Tensor, " rays"]
    """The ray has a surface."""

    def at_surface(self, values: Tensor) -> Tensor:
        """(views, rays, samples) to (views, rays)."""
        return values[:, torch.arange(len(self.pixels)), self.surface]


class QueryView:
    """One picture of a scene, shown to a model from its sources."""

    def __init__(self, model: SemanticRay, query: Query) -> None:
        self.query = query
        self.target: Frame = query.scene.frames[query.target]
        self.frames: list[Frame] = [query.scene.frames[index] for index in query.sources]
        self.sources = SourceViews.from_frames(self.frames)
        self._model = model.eval()
        with torch.inference_mode():
            # From RGB alone: depth is only what the result is compared with.
            self.encoded: EncodedViews = model.encode(replace(self.sources, depth=None), bounds=query.scene.bounds)
            image = self.target.image.permute(2, 0, 1).unsqueeze(0).float() / 255
            self.target_features: Tensor = model.picture_features(image, self.target.camera)[0]

    def spread_pixels(self) -> Float[Tensor, "rays 2"]:
        """Pixels evenly over the picture."""
        camera = self.target.camera
        spacing = max(1, round(RAY_SPACING * camera.width / 160))
        rows, columns = (torch.arange(spacing // 2, size, spacing).float() for size in (camera.height, camera.width))
        return torch.cartesian_prod(rows, columns).flip(-1)

    def along(self, pixels: Float[Tensor, "rays 2"], *, rendered: bool = False) -> QueryRays:
        """The fine head along rays, at even samples, or (`rendered`) at importance samples. The surface is the sample
        with the largest weight."""
        even = uniform_samples(len(pixels), COARSE_SAMPLES if rendered else EVEN_SAMPLES, device=pixels.device)
        if not rendered:
            return self._at(pixels, even)
        with torch.inference_mode():
            weights = self._model.look(self.encoded, self._rays(pixels), even)
        return self._at(pixels, importance_samples(weights, FINE_SAMPLES))

    def on_surface(self, pixels: Float[Tensor, "rays 2"]) -> QueryRays:
        """The fine head where the recorded surface is, by the target's depth, and no surface at a pixel without
        depth. For a target without a depth picture: the rendered surface."""
        if self.target.depth is None:
            return self.along(pixels, rendered=True)
        column, row = pixels.round().long().unbind(-1)
        depth, along = self.target.depth[row, column], self._rays(pixels).range
        known = (depth > along.near) & (depth < along.far)
        middle = along.coordinate_of(torch.where(known, depth, along.near))
        around = torch.linspace(-AROUND_SURFACE, AROUND_SURFACE, 2 * (FINE_SAMPLES // 2) + 1)
        rays = self._at(pixels, middle.unsqueeze(-1) + around)
        return replace(rays, surface=torch.full_like(rays.surface, FINE_SAMPLES // 2), found=known)

    def _at(self, pixels: Tensor, coordinates: Tensor) -> QueryRays:
        rays = self._rays(pixels)
        passed = fine_pass(self._model, self.encoded, rays, coordinates)
        projection = self.sources.camera.project(rays.points(passed.depths))
        surface, found = passed.output.weights.argmax(-1), passed.output.opacity > LEAST_OPACITY
        return QueryRays(pixels, passed, projection, self._visible(projection), surface, found)

    def _rays(self, pixels: Tensor) -> RayBundle:
        return self._model.rays(self.target.camera, pixels, self.query.scene.bounds)

    def _visible(self, projection: Projection) -> Bool[Tensor, "views rays samples"] | None:
        if self.sources.depth is None:
            return None
        views, rows, columns = self.sources.depth.shape
        column, row = projection.pixels.nan_to_num().round().long().unbind(-1)
        view = torch.arange(views).reshape(-1, 1, 1)
        seen = self.sources.depth[view, row.clamp(0, rows - 1), column.clamp(0, columns - 1)]
        return projection.seen & ~(projection.depth > HIDDEN_BEHIND * seen)
