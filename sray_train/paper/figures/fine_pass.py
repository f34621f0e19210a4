"""What the fine head does along query rays: its attention, its view weights, its compositing weights.

The model runs as it is; hooks note what its parts are given and give. Only the attention's weights, which the fused
kernels do not return, are computed once more, from the attention's own projections.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sray.attention import MaskedAttention
from sray.context import EncodedViews
from sray.model import SemanticRay
from sray.ray_output import RayOutput
from sray.rays import RayBundle


@dataclass(frozen=True)
class FinePass:
    """The fine head along query rays, at given samples."""

    output: RayOutput
    depths: Float[Tensor, "rays samples"]
    """Camera z of the samples in the target view, meters."""
    valid: Bool[Tensor, "views rays samples"]
    """The sample is in front of the view and inside its picture."""
    view_weights: Float[Tensor, "views rays samples"]
    """w of eq. 11 and 12."""
    attention: Float[Tensor, "views rays heads samples samples"] | None
    """Radial attention: what each sample (row) takes from each other (column) of its view. None: the model has none."""


def attention_weights(
    attention: MaskedAttention, tokens: Float[Tensor, "*shape length channels"], valid: Bool[Tensor, "*shape length"]
) -> Float[Tensor, "*shape heads length length"]:
    """Softmax of eq. 7, rows of queries: each sums to 1 over the valid keys; all zero where there is none."""
    query, key, _ = (per_head(part, attention.heads) for part in attention.projected(tokens))
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    absent = ~valid[..., None, None, :]
    # Finite, not -inf: a row without keys would be NaN.
    return torch.softmax(scores.masked_fill(absent, -1e9), -1).masked_fill(absent, 0)


def per_head(
    part: Float[Tensor, "*shape length channels"], heads: int
) -> Float[Tensor, "*shape heads length channels_per_head"]:
    """Channels shared out among the heads."""
    return part.reshape(*part.shape[:-1], heads, part.shape[-1] // heads).transpose(-2, -3)


@torch.inference_mode()
def fine_pass(
    model: SemanticRay, views: EncodedViews, rays: RayBundle, coordinates: Float[Tensor, "rays samples"]
) -> FinePass:
    """Shade rays at ascending normalized coordinates, and note what happens."""
    radial = dict(model.fine.attention.steps.items()).get("radial")
    parts = {"head": model.fine, "view_weights": model.fine.view_weights}
    with noted(parts | ({} if radial is None else {"radial": radial})) as seen:
        output = model.shade(views, rays, coordinates)
    context, _, depths = seen["head"][0]
    attention = None
    if radial is not None:
        assert isinstance(radial, MaskedAttention)
        attention = attention_weights(radial, *seen["radial"][0][:2])
    return FinePass(output, depths, context.valid, seen["view_weights"][1], attention)


@contextmanager
def noted(parts: dict[str, nn.Module]) -> Iterator[dict[str, tuple[tuple[Any, ...], Any]]]:
    """While it is entered, the modules' last arguments and results are kept by their names here."""
    seen: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def note(name: str) -> Any:
        return lambda _, arguments, result: seen.update({name: (arguments, result)})

    handles = [module.register_forward_hook(note(name)) for name, module in parts.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
