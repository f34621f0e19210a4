"""Compositing: density along a ray in; one weight a sample, and what they add up to, out. Eq. 2 and 13.

Knows nothing of cameras, views or classes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

STEP_SCALE = 64.0
"""Step lengths count as if the ray had 64 samples over its normalized coordinate, whatever its bounds in meters."""


def step_lengths(coordinates: Float[Tensor, "rays samples"]) -> Float[Tensor, "rays samples"]:
    """delta_k = 64 (s_{k+1} - s_k); the last equals the one before it, never infinity. One sample alone: 64."""
    if coordinates.shape[-1] == 1:
        return torch.full_like(coordinates, STEP_SCALE)
    steps = STEP_SCALE * coordinates.diff(dim=-1)
    return torch.cat([steps, steps[:, -1:]], dim=-1)


def compositing_weights(
    density: Float[Tensor, "rays samples"], deltas: Float[Tensor, "rays samples"]
) -> Float[Tensor, "rays samples"]:
    """T_k (1 - exp(-sigma_k delta_k)), T_k = exp(-sum of sigma delta before k). Their sum is the opacity, below 1."""
    optical = density * deltas
    transmittance = torch.exp(-(optical.cumsum(-1) - optical))
    return transmittance * -torch.expm1(-optical)


def composite(
    weights: Float[Tensor, "rays samples"], values: Float[Tensor, "rays samples channels"]
) -> Float[Tensor, "rays channels"]:
    """Eq. 2 (colors) and eq. 13 (semantics): the weighted sum along each ray."""
    return (weights.unsqueeze(-2) @ values).squeeze(-2)
