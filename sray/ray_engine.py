"""Ray engines: the model along rays of any camera, for one set of source views. Plain PyTorch, or compiled.

Both do the same three things: `look` for surfaces at evenly spread samples, `shade` at samples around them, and
`tint` a known surface.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.context import EncodedViews
from sray.kernel import NativeRays
from sray.model import RayOutput, SemanticRay


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

    def __init__(self, model: SemanticRay, views: EncodedViews, chunk_rays: int) -> None:
        self._model = model
        self._views = views
        self._chunk = chunk_rays

    def look(self, target: Camera, pixels: Tensor, coordinates: Tensor, bounds: tuple[float, float]) -> Tensor:
        return torch.cat(
            [self._model.look(self._views, target, *chunk, bounds) for chunk in self._chunks(pixels, coordinates)]
        )

    def shade(self, target: Camera, pixels: Tensor, coordinates: Tensor, bounds: tuple[float, float]) -> RayOutput:
        parts = [self._model.shade(self._views, target, *chunk, bounds) for chunk in self._chunks(pixels, coordinates)]
        return RayOutput(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(RayOutput)})

    def tint(self, target: Camera, pixels: Tensor, coordinates: Tensor, bounds: tuple[float, float]) -> Tensor:
        return torch.cat(
            [self._model.tint(self._views, target, *chunk, bounds) for chunk in self._chunks(pixels, coordinates)]
        )

    def _chunks(self, pixels: Tensor, coordinates: Tensor) -> list[tuple[Tensor, Tensor]]:
        return list(zip(torch.split(pixels, self._chunk), torch.split(coordinates, self._chunk), strict=True))


def ray_engine(model: SemanticRay, views: EncodedViews, *, compiled: bool, chunk_rays: int) -> RayEngine:
    """The fastest engine there is for the model where it stands; `compiled=False` asks for the plain one."""
    if compiled and NativeRays.unavailable(model) is None:
        return NativeRays(model, views)
    return PlainRays(model, views, chunk_rays)
