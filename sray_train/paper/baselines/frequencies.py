"""NeRF's positional encoding (Mildenhall et al., ECCV 2020, eq. 4)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def frequencies(values: Float[Tensor, "*shape axes"], count: int) -> Float[Tensor, "*shape encoded"]:
    """The values, of about -1 to 1, then sines and cosines of pi, 2 pi, 4 pi ... times them: `count` of each."""
    angles = math.pi * 2.0 ** torch.arange(count, dtype=values.dtype, device=values.device) * values.unsqueeze(-1)
    return torch.cat([values, angles.sin().flatten(-2), angles.cos().flatten(-2)], dim=-1)
