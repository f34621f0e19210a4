"""A small field with new weights."""

from __future__ import annotations

import torch

from sray.field import RenderConfig, SemanticField
from sray.model import SemanticRay, SemanticRayConfig

SMALL = {"coarse_samples": 12, "fine_samples": 6}


def make_field(**config: float | str) -> SemanticField:
    torch.manual_seed(0)
    return SemanticField(SemanticRay(SemanticRayConfig(5)), RenderConfig(**{**SMALL, **config}))  # type: ignore[arg-type]
