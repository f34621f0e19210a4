"""Pooling over views against its twin; Table 15 as a whole; what no view sees is empty."""

from __future__ import annotations

import pytest
import torch
from random_contexts import random_context
from reference import attention as attention_twin
from reference.pooling import mean_and_variance as pooling_twin

from sray.context import ContextSpace
from sray.density import GeometryNetwork, mean_and_variance


def context_of(views: int, rays: int, samples: int, *, seed: int = 0, sight: bool = False) -> ContextSpace:
    generator = torch.Generator().manual_seed(seed)
    valid = torch.rand(views, rays, samples, generator=generator) > 0.3
    if rays:
        valid[:, 0, 0] = False
        valid[:, -1] = False
    return random_context(valid, generator, sight=sight)


@pytest.mark.parametrize(("views", "rays", "samples"), [(1, 1, 1), (4, 3, 2), (2, 0, 2)])
def test_pooling_is_its_twin(views: int, rays: int, samples: int) -> None:
    context = context_of(views, rays, samples)
    found = mean_and_variance(context.tokens, context.valid.unsqueeze(-1))
    # Sums of at most 4 numbers about 1.
    for a, b in zip(found, pooling_twin(context.tokens, context.valid), strict=True):
        torch.testing.assert_close(a, b, atol=1e-14, rtol=1e-12)


def elu(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, torch.exp(x) - 1)


def linear(layer: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    assert isinstance(layer, torch.nn.Linear)
    return torch.stack([(row * x).sum(-1) for row in layer.weight], dim=-1) + layer.bias


def table_15(network: GeometryNetwork, context: ContextSpace) -> tuple[torch.Tensor, torch.Tensor]:
    """Line by line; with `statistics`, the design's additions at L7 and L9."""
    m = context.tokens
    gate = 1 / (1 + torch.exp(-linear(network.gate, m)))  # L2-L3
    l4 = elu(linear(network.token_mlp[0], m)) * gate
    l5, l6 = pooling_twin(l4, context.valid)
    l7 = torch.cat([l5, l6], dim=-1)
    if network.statistics:
        color_mean, color_variance = pooling_twin(context.colors, context.valid)
        _, feature_variance = pooling_twin(context.features, context.valid)
        seeing = context.valid.double().sum(0)[..., None]
        # Scaled to about unit range; a lone view has no variance to speak of and reads as 0.
        logs = [
            (seeing >= 2) * (torch.log(variance + 1e-4) / 3 + 1.5)
            for variance in (color_variance, feature_variance.mean(-1, keepdim=True))
        ]
        l7 = torch.cat([l7, color_mean, *logs, seeing / context.valid.shape[0]], dim=-1)
    if context.sight is not None:
        l7 = torch.cat([l7, *pooling_twin(context.sight, context.valid)], dim=-1)
    l8 = elu(linear(network.pooled_mlp[2], elu(linear(network.pooled_mlp[0], l7))))
    seen = context.valid.any(0)
    attention = network.ray_attention
    zeros = torch.zeros(48, dtype=torch.float64)
    layer = (attention.project.weight, zeros, attention.output.weight, zeros[:16])
    attended = torch.stack([attention_twin.multi_head(list(l8[r]), seen[r], layer, 4) for r in range(len(l8))])
    l9 = l8 + attended if network.statistics else attended.clamp_min(0)
    l10 = elu(linear(network.ray_mlp[0], l9))
    l11 = linear(network.density_mlp[2], elu(linear(network.density_mlp[0], l10)))[..., 0].clamp_min(0)
    color = torch.zeros(*seen.shape, 3, dtype=torch.float64)
    scores = linear(network.color_score, torch.cat([l4, context.directions], dim=-1))[..., 0]
    for ray, sample in seen.nonzero().tolist():
        seeing_views = [v for v in range(len(m)) if context.valid[v, ray, sample]]
        shares = torch.stack([torch.exp(scores[v, ray, sample]) for v in seeing_views])
        for view, share in zip(seeing_views, shares / shares.sum(), strict=True):
            color[ray, sample] += share * context.colors[view, ray, sample]
    return l11 * seen, color


@pytest.mark.parametrize("statistics", [False, True])
@pytest.mark.parametrize("sight", [False, True])
@pytest.mark.parametrize("views", [1, 4])
def test_the_network_is_table_15(statistics: bool, sight: bool, views: int) -> None:
    torch.manual_seed(views)
    network = GeometryNetwork(32, statistics=statistics, sight=sight).double()
    context = context_of(views, 3, 4, sight=sight)
    for layer in (network.pooled_mlp[2], network.ray_mlp[0], network.density_mlp[0], network.density_mlp[2]):
        torch.nn.init.normal_(layer.weight)  # away from the start, where all densities are alike
    seen = context.valid.any(0)
    with torch.no_grad():
        network.density_mlp[2].bias += 100  # none is cut off, so that the median is one of what comes before the ReLU
        network.density_mlp[2].bias -= network(context).density[seen].median()  # the ReLU cuts some off
        found = network(context)
        density, color = table_15(network, context)
    # Six small layers in double precision.
    torch.testing.assert_close(found.density, density, atol=1e-11, rtol=1e-9)
    torch.testing.assert_close(found.color, color, atol=1e-12, rtol=1e-10)
    assert (found.density[seen] > 0).any()
    assert (found.density[seen] == 0).any()


@pytest.mark.parametrize("statistics", [False, True])
def test_what_no_view_sees_is_empty_black_and_harmless(statistics: bool) -> None:
    torch.manual_seed(0)
    network, context = GeometryNetwork(32, statistics=statistics).double(), context_of(3, 2, 4)
    context.tokens.requires_grad_()
    found = network(context)
    assert (found.density[0, 0] == 0).all()
    assert (found.density[1] == 0).all()
    assert (found.color[1] == 0).all()
    (found.density.sum() + found.color.sum()).backward()
    assert context.tokens.grad is not None
    assert context.tokens.grad.isfinite().all()
    assert (context.tokens.grad.movedim(0, -1)[1] == 0).all()


def test_colors_are_a_blend_of_what_the_views_see() -> None:
    torch.manual_seed(0)
    context = context_of(3, 4, 5)
    color = GeometryNetwork(32, statistics=True).double()(context).color
    shown = torch.where(context.valid[..., None], context.colors, torch.nan)
    seen = context.valid.any(0)
    lowest = torch.nan_to_num(shown, nan=2.0).amin(0)[seen]
    highest = torch.nan_to_num(shown, nan=-1.0).amax(0)[seen]
    assert (color[seen] >= lowest - 1e-9).all()
    assert (color[seen] <= highest + 1e-9).all()


def test_density_starts_alive() -> None:
    """A ReLU that starts at 0 everywhere never learns: fresh networks see something almost everywhere."""
    for seed in range(40):
        torch.manual_seed(seed)
        context = context_of(4, 3, 8, seed=seed)
        density = GeometryNetwork(32, statistics=bool(seed % 2)).double()(context).density
        assert (density[context.valid.any(0)] > 0).double().mean() > 0.9
