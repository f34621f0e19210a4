"""SemanticField: set the source views once, render any viewpoint many times."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.camera import Camera
from sray.errors import CanceledError, NoViewsError
from sray.exposure import color_gains, exposure_around
from sray.frames import SourceViews
from sray.guidance import PixelGrid, Window
from sray.label_space import VOID
from sray.ray_engine import Chain, PlainRays, RayEngine, ray_engine
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray.sampling import ROOM_BOUNDS, Bounds, scene_bounds
from sray.shaded import Shaded
from sray.tile_renderer import TileRenderer

MIN_OPACITY = 0.05
"""Color is divided by the opacity, or by this where there is less: what is hardly seen stays dark."""


@dataclass(frozen=True)
class RenderedView:
    """What a camera at the requested pose would see. CPU tensors of the camera's size."""

    camera: Camera
    labels: UInt8[Tensor, "height width"]
    """Class indices; VOID (255) where nothing is known."""
    confidence: Float[Tensor, "height width"]
    """Probability of the chosen class; 0 where void."""
    common_color: Float[Tensor, "height width 3"]
    """RGB, 0 or more, of what is seen: what is composited (eq. 2), over the opacity. Black where nothing is. At the one
    exposure that the gains of the source views bring all colors to."""
    depth: Float[Tensor, "height width"]
    """Camera z in meters; NaN where void."""
    opacity: Float[Tensor, "height width"]
    coverage: UInt8[Tensor, "height width"]
    """Source views that see the pixel's surface."""
    depth_with_void: Float[Tensor, "height width"]
    """`depth` before void pixels were taken out of it, for scores. NaN where no surface was found at all."""
    exposure: Float[Tensor, "3"]
    """That of the source views around, over the common one."""

    @property
    def color(self) -> Float[Tensor, "height width 3"]:
        """RGB in 0..1, with the exposure of the source views around."""
        return (self.common_color * self.exposure).clamp(0, 1)

    @staticmethod
    def blank(camera: Camera) -> RenderedView:
        """A view of the camera's size, to be filled in."""
        size = (camera.height, camera.width)
        confidence, depth, opacity, depth_with_void = torch.zeros(4, *size).unbind()
        labels, coverage = torch.zeros(2, *size, dtype=torch.uint8).unbind()
        return RenderedView(
            camera, labels, confidence, torch.zeros(*size, 3), depth, opacity, coverage, depth_with_void, torch.ones(3)
        )


class SemanticField:
    """A model that has been shown a scene.

    Opens no file, starts no thread and moves to no device by itself: it works where the model is. Not thread safe.
    """

    def __init__(
        self,
        model: RayModel,
        config: RenderConfig | None = None,
        projection: Float[Tensor, "classes targets"] | None = None,
    ) -> None:
        """`projection`: into another label space, whose labels are rendered then (sray.segmentation.between_spaces)."""
        self.model = model.eval()
        self.config = config or RenderConfig.preset("balanced")
        self._projection = projection
        self._chain = Chain.of(self.model, self.config)
        self._engine: RayEngine | None = None
        self._views: SourceViews | None = None
        """Their gains are those that their colors were multiplied by, if they were."""
        self._range = self.model.depth_range(ROOM_BOUNDS)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @torch.inference_mode()
    def encode(
        self,
        image: UInt8[Tensor, "height width 3"],
        camera: Camera,
        like: Float[Tensor, "channels rows columns"] | None = None,
    ) -> Float[Tensor, "channels rows columns"]:
        """Features of a camera's picture, to be kept and passed to `set_sources` as often as wanted.

        `like`: those of another picture of this size, with which it is to be a source; they get one size.
        """
        batch = image.to(self.device).permute(2, 0, 1).unsqueeze(0).float() / 255
        return self.model.picture_features(batch, camera, like)[0]

    @torch.inference_mode()
    def set_sources(
        self,
        views: SourceViews,
        features: Float[Tensor, "views channels rows columns"] | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        """Render from these views, with the model's present weights, from now on.

        Views with depth guide the samples by it. Views without get it from each other, if the model has a stereo
        network. `features`: stacked results of `encode`; None encodes here.
        `bounds`: of the scene; None: from the trusted depth of the views, with a margin, or 0.5 to 8 m if they have
        none. That is the views' own distance from things: give bounds for a camera far nearer to them or farther off.
        Raises ValueError unless 0 < near < far and the features are those of so many views.
        """
        swept = bounds or ROOM_BOUNDS
        self.model.depth_range(swept)  # refuses impossible ones before any work
        views = views.to(self.device)
        channels = self.model.feature_channels
        if features is None and channels:  # once, for stereo and for rays
            features = self.model.picture_features(views.images, views.camera)
        if features is not None and features.shape[:2] != (views.count, channels):
            raise ValueError(
                f"features have shape {tuple(features.shape)}; expected "
                f"({views.count}, {channels}, rows, columns), one for each view"
            )
        features = None if features is None else features.to(self.device)
        views = self.model.with_stereo(views, swept, features).to(self.device)
        bounds = bounds or _bounds_of(views)
        encoded = self.model.encode(views, features, bounds)
        gains = (color_gains(views) if views.gains is None else views.gains) if self.config.match_exposure else None
        if gains is not None:  # after encoding: encoder and stereo read the pictures as they were taken
            encoded = replace(encoded, images=encoded.images * gains[:, :, None, None])
        self._engine = ray_engine(self.model, self._chain, encoded, self.config)
        self._views = replace(views, gains=gains)
        self._range = self.model.depth_range(bounds)

    @contextmanager
    def showing(
        self, views: SourceViews, features: Float[Tensor, "views channels rows columns"] | None, bounds: Bounds
    ) -> Iterator[None]:
        """`set_sources` for as long as the context lasts: what is held of the views is let go after it."""
        self.set_sources(views, features, bounds)
        try:
            yield
        finally:
            self._engine = self._views = None

    @torch.inference_mode()
    def render(
        self,
        camera: Camera,
        *,
        scale: float = 1.0,
        on_progress: Callable[[float], None] | None = None,
        canceled: Callable[[], bool] | None = None,
    ) -> RenderedView:
        """What `camera` would see, at `scale` times its size. Works tile by tile: memory does not grow with the size.

        `on_progress` gets the finished fraction, `canceled` is asked, between tiles.
        Raises NoViewsError before `set_sources`, CanceledError if asked to stop, and ValueError for a
        scale that is not positive.
        """
        if self._engine is None or self._views is None:
            raise NoViewsError("render() has no source views", remedy="Call set_sources(views) first")
        if not scale > 0:
            raise ValueError(f"scale is {scale}; expected more than 0")
        if scale != 1:
            camera = camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
        camera = camera.relative_to(self._views.camera.origin)
        view = RenderedView.blank(camera)  # first: a size beyond the memory is refused before any work
        target = camera.to(self.device)
        if self._views.gains is not None:
            view = replace(view, exposure=exposure_around(target, self._views.camera, self._views.gains).cpu())
        tiles = TileRenderer(self._engine, self.config, target, self._views, self._range)
        windows = PixelGrid(camera.width, camera.height, 1).windows(self._tile)
        for done, window in enumerate(windows):
            if canceled is not None and canceled():
                raise CanceledError(f"the render was canceled at {done} of {len(windows)} tiles")
            self._paste(tiles.render(window), window, view)
            if on_progress is not None:
                on_progress((done + 1) / len(windows))
        return view

    @property
    def _tile(self) -> int:
        if self.device.type != "cpu":
            return 4 * self.config.tile
        return max(2, self.config.tile // 2) if isinstance(self._engine, PlainRays) else self.config.tile

    def _paste(self, shaded: Shaded, window: Window, view: RenderedView) -> None:
        """Take a tile into the view, and say which of its pixels are void."""
        probabilities = shaded.probabilities
        if self._projection is not None:
            probabilities = probabilities @ self._projection.to(probabilities)
        confidence, labels = probabilities.max(-1)
        # A class that the other label space has no name for leaves all its classes at 0.
        void = self.config.void(shaded.opacity, shaded.coverage, confidence) | (confidence <= 0)
        # Light that nothing stopped is not black paint: left in, it costs 5 dB (docs/performance.md).
        color = shaded.color / shaded.opacity.clamp_min(MIN_OPACITY).unsqueeze(-1)
        rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
        for whole, part in (
            (view.labels, labels.to(torch.uint8).masked_fill(void, VOID)),
            (view.confidence, confidence.masked_fill(void, 0)),
            (view.common_color, color),
            (view.depth, shaded.depth.masked_fill(void, math.nan)),
            (view.depth_with_void, shaded.depth.masked_fill(shaded.opacity <= 0, math.nan)),
            (view.opacity, shaded.opacity),
            (view.coverage, shaded.coverage.round().clamp(0, 255).to(torch.uint8)),
        ):
            whole[rows, columns] = part.reshape(*window.shape, *part.shape[1:]).to(whole.device)


DEPTH_STRIDE = 4
"""Pixels between the depths that bounds are taken from: percentiles need no more."""


def _bounds_of(views: SourceViews) -> Bounds:
    depth = views.trusted_depth
    known = None if depth is None else scene_bounds(depth[:, ::DEPTH_STRIDE, ::DEPTH_STRIDE].flatten())
    return known or ROOM_BOUNDS
