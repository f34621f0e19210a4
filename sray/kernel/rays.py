"""NativeRays: what SemanticRay does along rays, compiled for this processor. The plain version is its twin."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from sray.context import EncodedViews
from sray.encoder import FEATURE_CHANNELS
from sray.kernel.build import NoKernel, library
from sray.kernel.weights import pack
from sray.model import RayHead, SemanticRay
from sray.ray_output import RayOutput
from sray.rays import RayBundle

_OUT_OF_MEMORY = 2
_Floats = ctypes.POINTER(ctypes.c_float)


def _fields(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class _Scene(ctypes.Structure):
    _fields_ = [
        *_fields(ctypes.c_int32, "views rows columns height width"),
        ("reading_scale", ctypes.c_float * 2),
        *_fields(_Floats, "features images projection centers origin surfaces"),
    ]


class _Network(ctypes.Structure):
    _fields_ = [
        *_fields(ctypes.c_int32, "count radial cross_view residual statistics mask sight"),
        ("tau", ctypes.c_float),
        ("weights", _Floats),
    ]


class _Rays(ctypes.Structure):
    _fields_ = [*_fields(ctypes.c_int32, "rays samples"), *_fields(_Floats, "directions coordinates depths")]


class _Found(ctypes.Structure):
    _fields_ = _fields(_Floats, "weights semantic color depth opacity coverage")


@dataclass(frozen=True)
class _Packed:
    """Source views as the kernel reads them: channels last, colors padded to four."""

    features: Float[Tensor, "views rows columns channels"]
    images: Float[Tensor, "views height width 4"]
    projection: Float[Tensor, "views 3 4"]
    centers: Float[Tensor, "views 3"]
    surfaces: Float[Tensor, "views height width 2"] | None
    """Depth and confidence."""
    reading_scale: tuple[float, float]

    @staticmethod
    def of(views: EncodedViews) -> _Packed:
        surfaces = views.surfaces
        return _Packed(
            views.features.float().permute(0, 2, 3, 1).contiguous(),
            F.pad(views.images.float().permute(0, 2, 3, 1), (0, 1)).contiguous(),
            views.camera.projection.float().contiguous(),
            views.camera.center.float().contiguous(),
            None if surfaces is None else torch.stack([surfaces.depth, surfaces.confidence], dim=-1).float(),
            views.reading_scale,
        )


class NativeRays:
    """The compiled chain for one model and one set of source views; both are copied at construction.

    `unavailable` says why it cannot serve a model; float32 results differ from the plain version's by rounding.
    """

    def __init__(self, model: SemanticRay, views: EncodedViews) -> None:
        """Raises NoKernel for what `unavailable` says, and ValueError if features and views do not belong together."""
        reason = self.unavailable(model)
        if reason is not None:
            raise reason
        self._config = model.config
        if views.features.shape[:2] != (views.count, FEATURE_CHANNELS):
            raise ValueError(f"features are {tuple(views.features.shape)}; expected {views.count} x {FEATURE_CHANNELS}")
        self._packed = _Packed.of(views)
        self._coarse = pack(model.context, model.coarse)
        self._fine = pack(model.context, model.fine)
        self._classifier = copy.deepcopy(model.fine.classifier)

    @staticmethod
    def unavailable(model: SemanticRay) -> NoKernel | None:
        """Why the kernel cannot serve this model; None if it can."""
        if next(model.parameters()).device.type != "cpu":
            return NoKernel("the model is not on the CPU")
        if model.config.attention in ("dense", "mlp"):
            return NoKernel(f"the kernel has no {model.config.attention} attention")
        found = library()
        return found if isinstance(found, NoKernel) else None

    def look(self, rays: RayBundle, coordinates: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
        """`SemanticRay.look`."""
        weights = torch.empty_like(coordinates, memory_format=torch.contiguous_format)
        self._run(self._coarse, rays, coordinates, [weights])
        return weights

    def shade(self, rays: RayBundle, coordinates: Float[Tensor, "rays samples"]) -> RayOutput:
        """`SemanticRay.shade`."""
        weights = torch.empty_like(coordinates, memory_format=torch.contiguous_format)
        semantic, color = torch.empty(len(rays), FEATURE_CHANNELS), torch.empty(len(rays), 3)
        depth, opacity, coverage = torch.empty(3, len(rays)).unbind()
        self._run(self._fine, rays, coordinates, [weights, semantic, color, depth, opacity, coverage])
        logits = RayHead.classify(self._classifier, semantic, opacity)
        return RayOutput(logits, color, depth, opacity, coverage, weights, coordinates)

    def tint(self, rays: RayBundle, coordinates: Float[Tensor, "rays 1"]) -> Float[Tensor, "rays 3"]:
        """`SemanticRay.tint`."""
        color = torch.empty(len(rays), 3)
        self._run(self._fine, rays, coordinates, [None, None, color])
        return color

    def _run(self, weights: Tensor, rays: RayBundle, coordinates: Tensor, found: Sequence[Tensor | None]) -> None:
        kernel = library()
        assert isinstance(kernel, ctypes.CDLL)
        if len(rays) != coordinates.shape[0]:
            raise ValueError(f"{len(rays)} pixels and {coordinates.shape[0]} rows of coordinates; expected as many")
        if not coordinates.numel():
            return
        config, packed = self._config, self._packed
        views, rows, columns = packed.features.shape[:3]
        height, width = packed.images.shape[1:3]
        # Named here so that they live until the kernel returns.
        origin, directions = rays.camera.center.contiguous(), rays.camera.ray_directions(rays.pixels).contiguous()
        coordinates = coordinates.contiguous()
        depths = rays.range.depth_of(coordinates)
        scene = _Scene(
            views, rows, columns, height, width, packed.reading_scale,
            *map(_pointer, (packed.features, packed.images, packed.projection, packed.centers)),
            *map(_pointer, (origin, packed.surfaces)),
        )  # fmt: skip
        network = _Network(
            weights.numel(),
            config.attention in ("radial", "full"), config.attention in ("cross_view", "full"),
            config.residual_attention, config.density_statistics,
            config.visibility != "none", config.visibility == "full", config.tau, _pointer(weights),
        )  # fmt: skip
        batch = _Rays(*coordinates.shape, *map(_pointer, (directions, coordinates, depths)))
        threads = ctypes.c_int32(torch.get_num_threads())
        status = kernel.sray_render(
            ctypes.byref(scene), ctypes.byref(network), ctypes.byref(batch),
            ctypes.byref(_Found(*map(_pointer, found))), threads,
        )  # fmt: skip
        if status == _OUT_OF_MEMORY:
            raise MemoryError("the kernel got no memory for its activations")
        if status:
            raise ValueError(f"the kernel refused {weights.numel()} weights; expected those of this network")


def _pointer(tensor: Tensor | None) -> ctypes._Pointer[ctypes.c_float] | None:
    if tensor is None:
        return None
    if tensor.dtype != torch.float32 or not tensor.is_contiguous() or tensor.device.type != "cpu":
        raise ValueError(f"the kernel reads contiguous float32 on the CPU, not {tensor.dtype} on {tensor.device}")
    return ctypes.cast(tensor.data_ptr(), _Floats)
