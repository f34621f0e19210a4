"""Shaded: what was found for rays, before anything is called void."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from sray.ray_output import RayOutput


@dataclass(frozen=True)
class Shaded:
    """One entry per cell or pixel of a window, row by row."""

    probabilities: Float[Tensor, "cells classes"]
    color: Float[Tensor, "cells 3"]
    """Composited: darker where less is seen."""
    depth: Float[Tensor, " cells"]
    opacity: Float[Tensor, " cells"]
    coverage: Float[Tensor, " cells"]

    @staticmethod
    def of(rays: RayOutput) -> Shaded:
        assert rays.logits is not None, "shading asks for semantics"
        return Shaded(torch.softmax(rays.logits, -1), rays.color, rays.depth, rays.opacity, rays.coverage)

    def blank(self, cells: int) -> Shaded:
        """So many cells of which nothing is seen; classes, types and device as here."""
        blank = {f.name: getattr(self, f.name).new_zeros(cells, *getattr(self, f.name).shape[1:]) for f in fields(self)}
        return Shaded(**blank)

    def put(self, index: Int64[Tensor, " some"], part: Shaded) -> None:
        """Fill in some of the cells."""
        for field in fields(self):
            getattr(self, field.name)[index] = getattr(part, field.name)
