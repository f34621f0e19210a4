"""Compositing against its twin, values and gradients; opacity; step lengths."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import compositing as twin

from sray.volume import composite, compositing_weights, step_lengths


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("rays", [0, 1, 3])
@pytest.mark.parametrize("samples", [2, 7])
def test_compositing_is_its_twin_in_value_and_gradient(rays: int, samples: int) -> None:
    density = (4 * random(rays, samples) - 1).clamp_min(0).requires_grad_()
    values = random(rays, samples, 3, seed=1).requires_grad_()
    deltas = 0.05 + random(rays, samples, seed=2)
    found = composite(compositing_weights(density, deltas), values)
    expected = twin.composite(density, deltas, values)
    # Products of at most 7 transmittances, each off by a rounding of 1e-16.
    torch.testing.assert_close(found, expected, atol=1e-14, rtol=1e-12)
    if rays:
        probe = random(rays, 3, seed=3)
        for a, b in zip(
            torch.autograd.grad((found * probe).sum(), [density, values]),
            torch.autograd.grad((expected * probe).sum(), [density, values]),
            strict=True,
        ):
            torch.testing.assert_close(a, b, atol=1e-13, rtol=1e-11)


def test_light_is_stopped_by_all_earlier_samples_and_only_those() -> None:
    """sigma delta = ln 2 halves the light: 1/2, 1/4, 1/8. Eq. 13's own index (delta_k in T) would read otherwise."""
    weights = compositing_weights(
        torch.tensor([[2.0, 1.0, 4.0]]).double() * torch.log(torch.tensor(2.0).double()),
        torch.tensor([[0.5, 1.0, 0.25]]).double(),
    )
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.25, 0.125]]).double())


@given(st.lists(st.floats(0, 50), min_size=1, max_size=64), st.integers(0, 99))
def test_opacity_is_from_0_to_1_and_what_the_densities_add_up_to(density: list[float], seed: int) -> None:
    sigma = torch.tensor([density], dtype=torch.float64)
    deltas = random(1, len(density), seed=seed)
    weights = compositing_weights(sigma, deltas)
    assert (weights >= 0).all()
    opacity = float(weights.sum())
    assert opacity <= 1 + 1e-12
    assert opacity == pytest.approx(1 - torch.exp(-(sigma * deltas).sum()).item(), abs=1e-12)
    if float((sigma * deltas).sum()) < 30:  # beyond, 1 - e^-30 and 1 are the same to a double
        assert opacity < 1


def test_empty_space_is_exactly_empty() -> None:
    assert (compositing_weights(torch.zeros(2, 5), torch.ones(2, 5)) == 0).all()


def test_leftover_opacity_is_not_given_to_the_last_sample() -> None:
    """An open ray stays open: thin matter everywhere weighs the same, the last sample included."""
    density = torch.full((1, 64), 1e-4, dtype=torch.float64)
    weights = compositing_weights(density, step_lengths(torch.linspace(0, 1, 64, dtype=torch.float64)[None]))
    torch.testing.assert_close(weights[0, -1], weights[0, 0], rtol=1e-2, atol=0)


def test_a_wall_is_opaque_without_overflow() -> None:
    weights = compositing_weights(torch.tensor([[0.0, 1e4, 1e4]]), torch.ones(1, 3)).requires_grad_()
    assert weights.tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("samples", [2, 3, 64])
def test_step_lengths_are_their_twin(samples: int) -> None:
    coordinates = random(3, samples).sort(-1).values
    expected = torch.tensor([[float(d) for d in twin.deltas_of(row)] for row in coordinates], dtype=torch.float64)
    torch.testing.assert_close(step_lengths(coordinates), expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize("samples", [8, 64, 128])
def test_even_samples_add_up_to_64_whatever_their_number(samples: int) -> None:
    coordinates = ((torch.arange(samples).double() + 0.5) / samples)[None]
    assert float(step_lengths(coordinates).sum()) == pytest.approx(64)
