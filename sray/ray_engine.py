"""Ray engines: the model along rays of any camera, for one set of source views. Plain PyTorch, or compiled.

Both do the same three things: `look` for surfaces at evenly spread samples, `shade` at samples around them, and
`tint` a known surface.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sray.context import EncodedViews
from sray.kernel import NativeRays, NoKernel
from sray.model import SemanticRay
from sray.ray_model import RayModel
from sray.ray_output import RayOutput
from sray.rays import RayBundle
from sray.render_config import RenderConfig

logger = logging.getLogger(__name__)

MAX_SEQUENCES = 65_535


@runtime_checkable
class RayEngine(Protocol):
    """Asked along rays, at ascending normalized `coordinates` of each."""

    def look(self, rays: RayBundle, coordinates: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]: ...

    def shade(self, rays: RayBundle, coordinates: Float[Tensor, "rays samples"]) -> RayOutput: ...

    def tint(self, rays: RayBundle, coordinates: Float[Tensor, "rays 1"]) -> Float[Tensor, "rays 3"]: ...


class Chain(NamedTuple):
    """The model's three functions along rays, as they are or through torch.compile."""

    look: Callable[..., Any]
    shade: Callable[..., Any]
    tint: Callable[..., Any]

    @staticmethod
    def of(model: RayModel, config: RenderConfig) -> Chain:
        functions = (model.look, model.shade, model.tint)
        return Chain(*(map(through_torch_compile, functions) if config.engine == "torch_compile" else functions))


class PlainRays:
    """The model itself, a chunk of rays at a time, so that its activations stay small."""

    def __init__(self, chain: Chain, views: EncodedViews, config: RenderConfig) -> None:
        self._chain = chain
        self._views = views
        self._chunk_rays = config.chunk_rays
        self._device = views.features.device.type
        self._autocast = torch.autocast(self._device, torch.bfloat16, enabled=config.precision == "bfloat16")

    def look(self, rays: RayBundle, coordinates: Tensor) -> Tensor:
        return torch.cat(self._run(self._chain.look, rays, coordinates)).float()

    def shade(self, rays: RayBundle, coordinates: Tensor) -> RayOutput:
        parts = self._run(self._chain.shade, rays, coordinates)
        return RayOutput(
            **{f.name: torch.cat([getattr(part, f.name) for part in parts]).float() for f in fields(RayOutput)}
        )

    def tint(self, rays: RayBundle, coordinates: Tensor) -> Tensor:
        return torch.cat(self._run(self._chain.tint, rays, coordinates)).float()

    def _run(self, function: Callable[..., Any], rays: RayBundle, coordinates: Tensor) -> list[Any]:
        size = self._chunk_rays
        if self._device != "cpu":
            # As large as attention on a GPU takes them: its grids have 65 535 sequences at most.
            size = max(1, MAX_SEQUENCES // max(coordinates.shape[1], self._views.count))
        with self._autocast:
            return [
                function(self._views, part, places)
                for part, places in zip(rays.split(size), torch.split(coordinates, size), strict=True)
            ]


def through_torch_compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function through torch.compile; for good as it is, with a warning, from the first call that fails."""
    compiled: Callable[..., Any] | None = torch.compile(function, dynamic=True)

    def call(*arguments: Any) -> Any:
        nonlocal compiled
        if compiled is not None:
            try:
                return compiled(*arguments)
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # whatever the compiler or its back end raises
                logger.warning("torch.compile failed, going on without it: %s", str(error).strip()[:400])
                compiled = None
        return function(*arguments)

    return call


def describe_engine(model: RayModel, config: RenderConfig) -> str:
    """What will run the network, in words for a log. Compiles the kernel where it is to serve and is not there yet."""
    if config.engine != "auto":
        return f"{config.engine} in {config.precision}"
    reason = _no_kernel(model)
    return "compiled kernel" if reason is None else f"plain PyTorch in {config.precision} ({reason})"


def ray_engine(model: RayModel, chain: Chain, views: EncodedViews, config: RenderConfig) -> RayEngine:
    """What `config.engine` asks for, as far as the model, where it stands, can have it."""
    if config.engine == "auto" and isinstance(model, SemanticRay) and NativeRays.unavailable(model) is None:
        return NativeRays(model, views)
    return PlainRays(chain, views, config)


def _no_kernel(model: RayModel) -> NoKernel | None:
    """Why the kernel, which is SemanticRay compiled, cannot serve; None if it can."""
    if not isinstance(model, SemanticRay):
        return NoKernel(f"the kernel is {SemanticRay.system}, the model {model.system}")
    return NativeRays.unavailable(model)
