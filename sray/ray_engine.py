"""Ray engines: the model along rays of any camera, for one set of source views. Plain PyTorch, or compiled.

Both do the same three things: `look` for surfaces at evenly spread samples, `shade` at samples around them, and
`tint` a known surface.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.context import EncodedViews
from sray.kernel import NativeRays
from sray.model import RayOutput, SemanticRay
from sray.render_config import RenderConfig

logger = logging.getLogger(__name__)


@runtime_checkable
class RayEngine(Protocol):
    """`pixels` of the target camera, ascending normalised `coordinates` within `bounds` (metres, camera z)."""

    def look(
        self,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        coordinates: Float[Tensor, "rays samples"],
        bounds: tuple[float, float],
    ) -> Float[Tensor, "rays samples"]: ...

    def shade(
        self,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        coordinates: Float[Tensor, "rays samples"],
        bounds: tuple[float, float],
    ) -> RayOutput: ...

    def tint(
        self,
        target: Camera,
        pixels: Float[Tensor, "rays 2"],
        coordinates: Float[Tensor, "rays 1"],
        bounds: tuple[float, float],
    ) -> Float[Tensor, "rays 3"]: ...


class PlainRays:
    """The model itself, a chunk of rays at a time, so that its activations stay small."""

    def __init__(self, model: SemanticRay, views: EncodedViews, config: RenderConfig, chunk_rays: int) -> None:
        self._views = views
        self._chunk = chunk_rays
        self._autocast = torch.autocast(
            views.features.device.type, torch.bfloat16, enabled=config.precision == "bfloat16"
        )
        wrap = through_torch_compile if config.engine == "torch_compile" else _as_it_is
        self._look, self._shade, self._tint = wrap(model.look), wrap(model.shade), wrap(model.tint)

    def look(self, target: Camera, pixels: Tensor, coordinates: Tensor, bounds: tuple[float, float]) -> Tensor:
        return torch.cat(self._run(self._look, target, pixels, coordinates, bounds)).float()

    def shade(self, target: Camera, pixels: Tensor, coordinates: Tensor, bounds: tuple[float, float]) -> RayOutput:
        parts = self._run(self._shade, target, pixels, coordinates, bounds)
        return RayOutput(
            **{f.name: torch.cat([getattr(part, f.name) for part in parts]).float() for f in fields(RayOutput)}
        )

    def tint(self, target: Camera, pixels: Tensor, coordinates: Tensor, bounds: tuple[float, float]) -> Tensor:
        return torch.cat(self._run(self._tint, target, pixels, coordinates, bounds)).float()

    def _run(
        self,
        function: Callable[..., Any],
        target: Camera,
        pixels: Tensor,
        coordinates: Tensor,
        bounds: tuple[float, float],
    ) -> list[Any]:
        with self._autocast:
            return [
                function(self._views, target, *chunk, bounds)
                for chunk in zip(torch.split(pixels, self._chunk), torch.split(coordinates, self._chunk), strict=True)
            ]


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def through_torch_compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function through torch.compile; for good as it is, with a warning, from the first call that fails."""
    compiled: Callable[..., Any] | None = torch.compile(function, dynamic=True)

    def call(*arguments: Any) -> Any:
        nonlocal compiled
        if compiled is not None:
            try:
                return compiled(*arguments)
            except Exception as error:  # whatever the compiler or its back end raises
                logger.warning("torch.compile failed, going on without it: %s", str(error).strip()[:400])
                compiled = None
        return function(*arguments)

    return call


def describe_engine(model: SemanticRay, config: RenderConfig) -> str:
    """What will run the network, in words for a log. Compiles the kernel where it is to serve and is not there yet."""
    if config.engine != "auto":
        return f"{config.engine} in {config.precision}"
    reason = NativeRays.unavailable(model)
    return "compiled kernel" if reason is None else f"plain PyTorch in {config.precision} ({reason})"


def ray_engine(model: SemanticRay, views: EncodedViews, config: RenderConfig, *, chunk_rays: int) -> RayEngine:
    """What `config.engine` asks for, as far as the model, where it stands, can have it."""
    if config.engine == "auto" and NativeRays.unavailable(model) is None:
        return NativeRays(model, views)
    return PlainRays(model, views, config, chunk_rays)
