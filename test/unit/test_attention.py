"""Masked attention and Cross-Reprojection Attention against twins, values and gradients."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from reference import attention as twin

from sray.attention import AttentionVariant, CrossReprojectionAttention, MaskedAttention, positional_encoding

# Softmax and matrix products of a few dozen numbers about 1 in double precision: some 1e2 roundings of 1e-16.
TOLERANCE = {"atol": 1e-12, "rtol": 1e-10}


def attention_of(channels: int, heads: int, *, bias: bool = True) -> MaskedAttention:
    torch.manual_seed(channels + heads)
    return MaskedAttention(channels, heads, bias=bias).double()


def layer_of(module: MaskedAttention) -> tuple[torch.Tensor, ...]:
    """The module's own matrices in the twin's order; absent biases are zero."""
    channels = module.output.weight.shape[0]
    biases = [
        torch.zeros(size, dtype=torch.float64) if linear.bias is None else linear.bias
        for linear, size in ((module.project, 3 * channels), (module.output, channels))
    ]
    return module.project.weight, biases[0], module.output.weight, biases[1]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("batch", [(), (2,), (1, 2), (2, 1, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_masked_attention_is_its_twin_in_value_and_gradient(batch: tuple[int, ...], bias: bool) -> None:
    module = attention_of(8, 2, bias=bias)
    tokens = random(*batch, 3, 8).requires_grad_()
    valid = torch.rand(*batch, 3, generator=torch.Generator().manual_seed(1)) > 0.4
    valid.reshape(-1, 3)[0] = torch.tensor([True, False, True])
    if batch:
        valid.reshape(-1, 3)[-1] = False
    found = module(tokens, valid)
    flat_tokens, flat_valid = tokens.reshape(-1, 3, 8), valid.reshape(-1, 3)
    expected = torch.stack(
        [twin.multi_head(list(t), v, layer_of(module), 2) for t, v in zip(flat_tokens, flat_valid, strict=True)]
    ).reshape(found.shape)
    torch.testing.assert_close(found, expected, **TOLERANCE)
    wanted = [tokens, *module.parameters()]
    probe = random(*found.shape, seed=2)
    for a, b in zip(
        torch.autograd.grad((found * probe).sum(), wanted),
        torch.autograd.grad((expected * probe).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(a, b, **TOLERANCE)


def test_a_row_without_keys_is_zero_and_so_is_its_gradient() -> None:
    module = attention_of(8, 4)
    tokens = random(2, 3, 8).requires_grad_()
    valid = torch.tensor([[True, True, False], [False, False, False]])
    found = module(tokens, valid)
    assert (found[1] == 0).all()
    found.sum().backward()
    assert tokens.grad is not None
    assert tokens.grad.isfinite().all()
    assert (tokens.grad[1] == 0).all()


def test_an_absent_token_changes_nobody_else() -> None:
    module = attention_of(8, 4)
    tokens = random(4, 8)
    valid = torch.tensor([True, True, False, True])
    other = tokens.clone()
    other[2] = 1e3
    torch.testing.assert_close(module(tokens, valid)[valid], module(other, valid)[valid], atol=0, rtol=0)


def module_of(variant: AttentionVariant, *, residual: bool, channels: int = 8) -> CrossReprojectionAttention:
    torch.manual_seed(3)
    module = CrossReprojectionAttention(channels, variant, residual=residual, heads=2).double()
    if residual:  # away from its start as the identity
        for attention in module.steps.values():
            torch.nn.init.normal_(attention.output.weight, std=0.5)
            torch.nn.init.normal_(attention.output.bias, std=0.5)
        for norm in module.norms.values():
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
    return module


def normalized(tokens: torch.Tensor, norm: torch.nn.LayerNorm) -> torch.Tensor:
    centered = tokens - tokens.mean(-1, keepdim=True)
    return centered / (centered.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("variant", get_args(AttentionVariant))
@pytest.mark.parametrize(("views", "rays", "samples"), [(3, 2, 3), (1, 1, 2), (2, 1, 1)])
def test_cross_reprojection_attention_is_table_13(
    variant: AttentionVariant, residual: bool, views: int, rays: int, samples: int
) -> None:
    module = module_of(variant, residual=residual)
    tokens = random(views, rays, samples, 8)
    valid = torch.rand(views, rays, samples, generator=torch.Generator().manual_seed(1)) > 0.3
    valid[:, 0, 0] = False  # a sample nobody sees
    if views > 1:
        valid[1, 0] = False  # a view that sees nothing of a ray
    coordinates = torch.rand(rays, samples, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    positions = torch.tensor([[twin.position(float(s), 8) for s in row] for row in coordinates], dtype=torch.float64)
    steps = {"none": [], "full": ["radial", "cross_view"], "mlp": ["mlp", "second_mlp"]}.get(variant, [variant])
    expected = tokens
    with torch.no_grad():
        for number, step in enumerate(steps):
            # L2-L3 add the positions before the first attention along the ray; across the views there are none.
            placed = expected + positions if number == 0 and step != "cross_view" else expected
            inputs = normalized(placed, module.norms[step]) if residual else placed
            if variant == "mlp":
                layers = module.steps[step].hidden, module.steps[step].output
                attended = twin.alone(inputs, [(layer.weight, layer.bias) for layer in layers])
            else:
                attended = getattr(twin, step)(inputs, valid, layer_of(module.steps[step]), 2)
            expected = expected + attended if residual else attended.clamp_min(0)
        found = module(tokens, valid, coordinates)
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-9)


def test_the_default_starts_as_the_identity() -> None:
    for variant in get_args(AttentionVariant):
        module = CrossReprojectionAttention(32, variant, residual=True)
        tokens = torch.randn(3, 2, 4, 32)
        valid = torch.rand(3, 2, 4) > 0.5
        torch.testing.assert_close(module(tokens, valid, torch.rand(2, 4)), tokens, atol=0, rtol=0)


def test_the_identity_can_be_left() -> None:
    """Output projections at zero still get gradients, or training would never use the attention."""
    module = CrossReprojectionAttention(32, "full", residual=True)
    module(torch.randn(3, 2, 4, 32), torch.ones(3, 2, 4, dtype=torch.bool), torch.rand(2, 4)).square().sum().backward()
    for attention in module.steps.values():
        assert attention.output.weight.grad is not None
        assert attention.output.weight.grad.abs().max() > 0


def test_the_mlp_is_as_large_as_full_attention_and_sees_one_token_at_a_time() -> None:
    attention, mlp = (CrossReprojectionAttention(32, variant, residual=True) for variant in ("full", "mlp"))
    sizes = [sum(each.numel() for each in module.parameters()) for module in (attention, mlp)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)
    coordinates, valid = torch.rand(2, 4, dtype=torch.float64), torch.ones(3, 2, 4, dtype=torch.bool)
    tokens = random(3, 2, 4, 8)
    other = tokens.clone()
    other[1, 0, 2] += random(8, seed=5)  # not one value for all channels: layer norm takes that out
    for variant, touched in (("mlp", 1), ("full", 12)):
        module = module_of(variant, residual=True)
        with torch.no_grad():
            changed = (module(other, valid, coordinates) - module(tokens, valid, coordinates)).abs().amax(-1) > 1e-9
        assert int(changed.sum()) == touched and changed[1, 0, 2]


@pytest.mark.parametrize("samples", [1, 5, 64])
def test_positions_are_their_twin(samples: int) -> None:
    coordinates = torch.linspace(0, 1, samples, dtype=torch.float64)[None]
    expected = torch.tensor([[twin.position(float(s), 32) for s in coordinates[0]]], dtype=torch.float64)
    torch.testing.assert_close(positional_encoding(coordinates, 32), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("variant", get_args(AttentionVariant))
def test_views_can_come_in_any_order(variant: AttentionVariant) -> None:
    module = module_of(variant, residual=True)
    tokens, coordinates = random(4, 2, 3, 8), torch.rand(2, 3, dtype=torch.float64)
    valid = torch.rand(4, 2, 3, generator=torch.Generator().manual_seed(1)) > 0.3
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        module(tokens[order], valid[order], coordinates), module(tokens, valid, coordinates)[order], **TOLERANCE
    )


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_no_rays_are_no_error(shape: tuple[int, ...]) -> None:
    """Nothing to render is not a mistake."""
    found = attention_of(8, 4)(random(*shape, 8), torch.ones(*shape, dtype=torch.bool))
    assert found.shape == (*shape, 8)
