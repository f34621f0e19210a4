"""SemanticField: set the source views once, render any viewpoint many times."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.camera import Camera
from sray.context import EncodedViews
from sray.errors import ErrorCode, SrayError
from sray.frames import SourceViews
from sray.label_space import VOID
from sray.model import RaySamples, SemanticRay
from sray.sampling import ROOM_BOUNDS


@dataclass(frozen=True)
class RenderConfig:
    """How much work a render does, and which pixels it calls void."""

    coarse_samples: int = 64
    """Samples a ray, evenly over the bounds, that look for the surface."""
    fine_samples: int = 64
    """Samples a ray around what the coarse pass found."""
    min_opacity: float = 0.3
    """A pixel that stops less of the light than this is void."""
    min_coverage: float = 0.5
    """A pixel that fewer source views see (averaged along its ray) is void."""
    min_confidence: float = 0.0
    """A pixel whose class is less probable is void."""
    chunk_rays: int = 256
    """Rays at once. Does not change the result; small enough for the processor caches, a GPU wants more."""

    @staticmethod
    def preset(name: str) -> RenderConfig:
        """`reference` (the paper's 64 + 64 samples), `high`, `balanced` or `fast`. Raises ValueError otherwise."""
        if name not in _PRESETS:
            raise ValueError(f"render quality is {name!r}; expected one of {', '.join(_PRESETS)}")
        return _PRESETS[name]


_PRESETS = {
    "reference": RenderConfig(),
    "high": RenderConfig(coarse_samples=48, fine_samples=32),
    "balanced": RenderConfig(coarse_samples=32, fine_samples=16),
    "fast": RenderConfig(coarse_samples=24, fine_samples=8),
}


@dataclass(frozen=True)
class RenderedView:
    """What a camera at the requested pose would see. CPU tensors of the camera's size."""

    camera: Camera
    labels: UInt8[Tensor, "height width"]
    """Class indices; VOID (255) where nothing is known."""
    confidence: Float[Tensor, "height width"]
    """Probability of the chosen class; 0 where void."""
    color: Float[Tensor, "height width 3"]
    """RGB in 0..1; darker where less is seen."""
    depth: Float[Tensor, "height width"]
    """Camera z in metres; NaN where void."""
    opacity: Float[Tensor, "height width"]
    coverage: UInt8[Tensor, "height width"]
    """Source views that see the pixel's surface."""


class SemanticField:
    """A model that has been shown a scene.

    Opens no file, starts no thread and moves to no device by itself: it works where the model is. Not thread safe.
    """

    def __init__(self, model: SemanticRay, config: RenderConfig | None = None) -> None:
        self.model = model.eval()
        self.config = config or RenderConfig()
        self._views: EncodedViews | None = None
        self._bounds = ROOM_BOUNDS

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @torch.inference_mode()
    def encode(self, image: UInt8[Tensor, "height width 3"]) -> Float[Tensor, "channels rows columns"]:
        """Features of one picture, to be kept and passed to `set_sources` as often as wanted."""
        batch = image.to(self.device).permute(2, 0, 1).unsqueeze(0).float() / 255
        features: Tensor = self.model.encoder(batch)[0]
        return features

    @torch.inference_mode()
    def set_sources(
        self,
        views: SourceViews,
        features: Float[Tensor, "views channels rows columns"] | None = None,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        """Render from these views from now on.

        `features`: stacked results of `encode`; None encodes here. `bounds`: near and far of the scene in metres
        (camera z); None: 0.5 to 8. Raises ValueError unless 0 < near < far.
        """
        near, far = bounds or ROOM_BOUNDS
        if not 0 < near < far or not math.isfinite(far):
            raise ValueError(f"bounds are {near} to {far} m; expected 0 < near < far")
        views = views.to(self.device)
        encoded = self.model.encoder(views.images) if features is None else features.to(self.device)
        self._views = EncodedViews(views.images, views.camera, encoded)
        self._bounds = (near, far)

    @torch.inference_mode()
    def render(
        self,
        camera: Camera,
        *,
        scale: float = 1.0,
        on_progress: Callable[[float], None] | None = None,
        canceled: Callable[[], bool] | None = None,
    ) -> RenderedView:
        """What `camera` would see, at `scale` times its size.

        `on_progress` gets the finished fraction, `canceled` is asked, between chunks of rays.
        Raises SrayError(NO_KEYFRAMES) before `set_sources`, SrayError(CANCELED) if asked to stop, and ValueError for a
        scale that is not positive.
        """
        if self._views is None:
            raise SrayError(ErrorCode.NO_KEYFRAMES, "render() has no source views; call set_sources(views) first")
        if not scale > 0:
            raise ValueError(f"scale is {scale}; expected more than 0")
        if scale != 1:
            camera = camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
        device_camera = camera.to(self.device)
        samples = RaySamples(self.config.coarse_samples, self.config.fine_samples)
        pixels = device_camera.pixel_grid()
        parts: list[tuple[Tensor, ...]] = []
        for start in range(0, pixels.shape[0], self.config.chunk_rays):
            if canceled is not None and canceled():
                raise SrayError(ErrorCode.CANCELED, f"the render was canceled at {start} of {pixels.shape[0]} rays")
            chunk = pixels[start : start + self.config.chunk_rays]
            rays = self.model.infer(self._views, device_camera, chunk, self._bounds, samples)
            confidence, labels = torch.softmax(rays.logits, dim=-1).max(-1)
            parts.append((labels, confidence, rays.color, rays.depth, rays.opacity, rays.coverage))
            if on_progress is not None:
                on_progress((start + chunk.shape[0]) / pixels.shape[0])
        return self._assemble(camera, *(torch.cat(part).cpu() for part in zip(*parts, strict=True)))

    def _assemble(
        self,
        camera: Camera,
        labels: Tensor,
        confidence: Tensor,
        color: Tensor,
        depth: Tensor,
        opacity: Tensor,
        coverage: Tensor,
    ) -> RenderedView:
        config, shape = self.config, (camera.height, camera.width)
        void = (opacity < config.min_opacity) | (coverage < config.min_coverage) | (confidence < config.min_confidence)
        return RenderedView(
            camera,
            labels.to(torch.uint8).masked_fill(void, VOID).reshape(shape),
            confidence.masked_fill(void, 0).reshape(shape),
            color.clamp(0, 1).reshape(*shape, 3),
            depth.masked_fill(void, math.nan).reshape(shape),
            opacity.reshape(shape),
            coverage.round().clamp(0, 255).to(torch.uint8).reshape(shape),
        )
