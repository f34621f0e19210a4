"""Cross-Reprojection Attention: along each reprojected ray, then across the views. Eq. 6-10, Table 13.

`variant` chooses the ablations of Table 3, the dense attention of Tables 6 and 7, or `mlp`: two networks that have as
many parameters as the two attentions of `full`, and see one token at a time. What attention gains over `none` may come
from its parameters; what it gains over `mlp` comes from looking at other tokens.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

AttentionVariant = Literal["none", "mlp", "radial", "cross_view", "full", "dense"]


class MaskedAttention(nn.Module):
    """Multi-head self-attention over a sequence, with absent tokens masked as keys. Eq. 6-8."""

    def __init__(self, channels: int, heads: int = 4, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(channels, 3 * channels, bias=bias)
        self.output = nn.Linear(channels, channels, bias=bias)

    def forward(
        self,
        tokens: Float[Tensor, "*shape channels"],
        valid: Bool[Tensor, "*shape"],
        along: int = -1,
    ) -> Float[Tensor, "*shape channels"]:
        """Attend along one axis of `shape`, the last one unless told; the others are a batch.

        Rows that have no key left are zero (attention kernels differ there: NaN or 0).
        """
        channels, length = tokens.shape[-1], tokens.shape[:-1][along]
        # Projected where they lie, and only then viewed with the axis last: no copies of the tokens.
        lined_up = [part.movedim(along if along >= 0 else along - 1, -2) for part in self.projected(tokens)]
        keys = valid.movedim(along, -1)
        # Exactly one batch dimension: with more of them the fused kernels are not chosen.
        batch = math.prod(keys.shape[:-1])
        query, key, value = (
            part.reshape(batch, length, self.heads, channels // self.heads).transpose(1, 2) for part in lined_up
        )
        any_key = keys.any(-1, keepdim=True)
        mask = (keys | ~any_key).reshape(batch, 1, 1, length)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed = self.mixed(attended.transpose(1, 2).reshape(lined_up[0].shape))
        return (mixed * any_key.unsqueeze(-1)).movedim(-2, along if along >= 0 else along - 1)

    def projected(self, tokens: Float[Tensor, "*shape channels"]) -> list[Tensor]:
        """Queries, keys and values, but for the biases that need not be added to every token.

        A key's bias adds the same to all scores of a query, so the softmax drops it; a value's bias passes the
        attention unchanged, as the scores of a query sum to 1, and is added by `mixed`.
        """
        channels = tokens.shape[-1]
        weight, bias = self.project.weight, self.project.bias
        query = F.linear(tokens, weight[:channels], None if bias is None else bias[:channels])
        return [query, *F.linear(tokens, weight[channels:]).chunk(2, dim=-1)]

    def mixed(self, attended: Float[Tensor, "*shape channels"]) -> Float[Tensor, "*shape channels"]:
        """What was gathered, through the output projection, the values' bias included."""
        bias: Tensor = self.output.bias
        if self.project.bias is not None:
            bias = bias + self.output.weight @ self.project.bias[2 * attended.shape[-1] :]
        return F.linear(attended, self.output.weight, bias)


class TokenMLP(nn.Module):
    """One hidden layer on every token by itself. 4 c^2 + 3 c parameters, where a `MaskedAttention` has 4 c^2 + 4 c."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(channels, 2 * channels)
        self.output = nn.Linear(2 * channels, channels)

    def forward(self, tokens: Float[Tensor, "*shape channels"]) -> Float[Tensor, "*shape channels"]:
        mixed: Tensor = self.output(F.elu(self.hidden(tokens)))
        return mixed


class CrossReprojectionAttention(nn.Module):
    """Refines the contextual space M into M'' (Table 13).

    To the letter there is no residual and a ReLU follows each attention. With `residual`, layer norm comes before
    each attention, its result is added, and its output projection starts at zero: training starts from M itself.

    In both, queries, keys, values and output have biases; the matrices of eq. 6-8 and 10 have none.
    """

    def __init__(self, channels: int, variant: AttentionVariant, *, residual: bool, heads: int = 4) -> None:
        super().__init__()
        if variant not in get_args(AttentionVariant):
            raise ValueError(f"attention is {variant!r}; expected one of {', '.join(get_args(AttentionVariant))}")
        self.variant = variant
        self.residual = residual
        pairs = {"none": [], "full": ["radial", "cross_view"], "mlp": ["mlp", "second_mlp"]}
        steps = pairs.get(variant, [variant])
        self.steps = nn.ModuleDict(
            {step: TokenMLP(channels) if variant == "mlp" else MaskedAttention(channels, heads) for step in steps}
        )
        self.norms = nn.ModuleDict({step: nn.LayerNorm(channels) for step in steps} if residual else {})
        if residual:
            for attention in self.steps.values():
                assert isinstance(attention, MaskedAttention | TokenMLP)
                nn.init.zeros_(attention.output.weight)
                nn.init.zeros_(attention.output.bias)

    def forward(
        self,
        tokens: Float[Tensor, "views rays samples channels"],
        valid: Bool[Tensor, "views rays samples"],
        coordinates: Float[Tensor, "rays samples"],
    ) -> Float[Tensor, "views rays samples channels"]:
        """Refine M. `coordinates`: the samples' normalized positions along the ray, 0 near to 1 far."""
        positions = positional_encoding(coordinates, tokens.shape[-1])
        for name, attention in self.steps.items():
            # Table 13 adds the positions once, before the attention along the ray.
            placed = tokens if name in ("cross_view", "second_mlp") else tokens + positions
            inputs = self.norms[name](placed) if self.residual else placed
            attended = _ATTEND[name](attention, inputs, valid)
            tokens = tokens + attended if self.residual else torch.relu(attended)
        return tokens


def _radial(attention: nn.Module, tokens: Tensor, valid: Tensor) -> Tensor:
    """Eq. 6-9: samples of one reprojected ray attend to each other, each view by itself."""
    attended: Tensor = attention(tokens, valid)
    return attended


def _cross_view(attention: nn.Module, tokens: Tensor, valid: Tensor) -> Tensor:
    """Eq. 10: the views of one sample attend to each other."""
    attended: Tensor = attention(tokens, valid, along=0)
    return attended


def _dense(attention: nn.Module, tokens: Tensor, valid: Tensor) -> Tensor:
    """Section 3.3's straightforward approach: every sample of every view attends to all others of its ray."""
    views, _, samples, _ = tokens.shape
    flat: Tensor = attention(tokens.transpose(0, 1).flatten(1, 2), valid.transpose(0, 1).flatten(1, 2))
    return flat.reshape(-1, views, samples, flat.shape[-1]).transpose(0, 1)


def _alone(network: nn.Module, tokens: Tensor, valid: Tensor) -> Tensor:
    """No token sees another."""
    mixed: Tensor = network(tokens)
    return mixed


_ATTEND = {"radial": _radial, "cross_view": _cross_view, "dense": _dense, "mlp": _alone, "second_mlp": _alone}

POSITION_SCALE = 64.0
"""Positions count as if the ray had 64 samples, however many it has."""


def positional_encoding(
    coordinates: Float[Tensor, "rays samples"], channels: int
) -> Float[Tensor, "rays samples channels"]:
    """Fixed sinusoids of the normalized coordinate times 64: sines in the first half, cosines in the second."""
    half = channels // 2
    exponents = torch.arange(half, dtype=coordinates.dtype, device=coordinates.device) / half
    angles = (POSITION_SCALE * coordinates).unsqueeze(-1) * torch.exp(-math.log(10_000.0) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
