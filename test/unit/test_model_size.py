"""SemanticRay's parameters, counted table by table as the paper's supplement does."""

from __future__ import annotations

import torch
from torch import nn

from sray.model import SemanticRay, SemanticRayConfig


def model_of(config: SemanticRayConfig, seed: int = 0) -> SemanticRay:
    torch.manual_seed(seed)
    return SemanticRay(config).eval()


def count(*modules: nn.Module) -> int:
    """Parameters as the design counts them: biases and shortcuts in; color head, classifier and norms out."""
    total = 0
    for module in modules:
        for name, part in module.named_modules():
            if isinstance(part, nn.InstanceNorm2d | nn.LayerNorm) or name.endswith(("color_score", "classifier")):
                continue
            total += sum(parameter.numel() for parameter in part.parameters(recurse=False))
    return total


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


TABLE_12 = 2_039_360 + linear(4, 16) + linear(16, 32)
"""L1-L19 are added up layer by layer in test_encoder.py; L21."""
TABLE_13 = 2 * 4 * linear(32, 32)
"""Radial and cross-view attention: query, key, value and output."""
TABLE_14 = linear(37, 16) + linear(16, 8) + linear(8, 1)
TABLE_15 = (
    linear(32, 32)  # L1
    + linear(32, 1)  # L2
    + linear(64, 32) + linear(32, 16)  # L8
    + 4 * 16 * 16  # L9: the matrices of eq. 6-8, without biases
    + linear(16, 16)  # L10
    + linear(16, 16) + linear(16, 1)  # L11
)  # fmt: skip


def test_parameters_table_by_table() -> None:
    model = model_of(SemanticRayConfig.paper(20))
    assert count(model.encoder, model.context) == TABLE_12
    for head in (model.coarse, model.fine):
        assert count(head.attention) == TABLE_13 == 8_448
        assert count(head.view_weights) == TABLE_14 == 753
        assert count(head.geometry) == TABLE_15 == 5_282
        assert count(head) == TABLE_13 + TABLE_14 + TABLE_15
    assert count(model.encoder, model.context, model.fine) == 2_054_467
    assert count(model) == 2_068_950


def test_the_default_adds_only_its_statistics() -> None:
    """Eight more inputs to L8's first layer of 32, in each head; norms do not count."""
    assert count(model_of(SemanticRayConfig(20))) == 2_068_950 + 2 * 8 * 32
