"""What source views show at samples, at random: an input of heads and of the networks in them."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from sray.context import ContextSpace


def random_context(
    valid: Bool[Tensor, "views rays samples"], generator: torch.Generator, *, sight: bool = False
) -> ContextSpace:
    """In double precision, for comparisons with twins. `valid`: which view sees which sample."""

    def random(channels: int) -> Tensor:
        return torch.randn(*valid.shape, channels, generator=generator, dtype=torch.float64)

    return ContextSpace(
        random(32), random(32), random(4), random(3).sigmoid(), valid, random(2) if sight else None
    )  # fmt: skip
