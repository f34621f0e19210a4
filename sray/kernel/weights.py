"""The weights of one head in the order in which `Layers` of network.hpp reads them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sray.attention import MaskedAttention
from sray.context import DIRECTION_CHANNELS, SIGHT_CHANNELS, ContextBuilder
from sray.density import STATISTICS
from sray.encoder import FEATURE_CHANNELS
from sray.model import RayHead

POOLED = 2 * FEATURE_CHANNELS


def pack(context: ContextBuilder, head: RayHead) -> Float[Tensor, " weights"]:
    """All weights as one float32 tensor on the CPU: of each linear layer the (in, out) matrix, then the bias.

    Statistics and sight, which not every network reads, have rows of zeros where this one does not.
    """
    geometry, view_weights = head.geometry, head.view_weights
    parts = [*_linears(context.direction_mlp), *_linears(geometry.token_mlp), *_linear(geometry.gate)]
    pooled, *after = _linears(geometry.pooled_mlp)
    if not geometry.statistics:
        pooled = torch.cat([pooled[:POOLED], pooled.new_zeros(STATISTICS, pooled.shape[1]), pooled[POOLED:]])
    parts += [_with_rows(pooled, POOLED + STATISTICS + 2 * SIGHT_CHANNELS), *after]
    parts += [*_attention(geometry.ray_attention), *_linears(geometry.ray_mlp), *_linears(geometry.density_mlp)]
    score, *after = _linears(view_weights.mlp)
    score = _with_rows(score, FEATURE_CHANNELS + DIRECTION_CHANNELS + 1 + SIGHT_CHANNELS)
    parts += [*_linear(geometry.color_score), score, *after]
    for name, step in head.attention.steps.items():
        assert isinstance(step, MaskedAttention)
        if head.attention.residual:
            norm = head.attention.norms[name]
            assert isinstance(norm, nn.LayerNorm)
            parts += [norm.weight, norm.bias]
        parts += _attention(step)
    return torch.cat([part.detach().cpu().float().reshape(-1) for part in parts])


def _with_rows(matrix: Tensor, rows: int) -> Tensor:
    """The matrix, with rows of zeros at its end."""
    return torch.cat([matrix, matrix.new_zeros(rows - matrix.shape[0], matrix.shape[1])])


def _linear(layer: nn.Linear) -> list[Tensor]:
    return _matrix(layer.weight, layer.bias)


def _matrix(weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    return [weight.T, weight.new_zeros(weight.shape[0]) if bias is None else bias]


def _linears(layers: nn.Sequential) -> list[Tensor]:
    return [part for layer in layers if isinstance(layer, nn.Linear) for part in _linear(layer)]


def _attention(attention: MaskedAttention) -> list[Tensor]:
    """The queries come scaled by 1 / sqrt(channels of a head)."""
    channels = attention.output.out_features
    scale = attention.project.weight.new_ones(3 * channels)
    scale[:channels] = (channels // attention.heads) ** -0.5
    bias = attention.project.bias
    projection = _matrix(attention.project.weight * scale[:, None], None if bias is None else bias * scale)
    return [*projection, *_linear(attention.output)]
