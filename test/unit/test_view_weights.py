"""The tau bound against two twins, its gradient, and the weight network around it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.tau_projection import by_bisection, by_enumeration

from sray.context import ContextSpace
from sray.view_weights import SemanticWeightNetwork, project_to_tau_bound

TAUS = [1.0, 0.99, 0.7, 0.5, 0.2, 0.01]
# The threshold search accepts sums within 1e-6 of 1, and m entries can share that.
ATOL = 2e-6


def project(weights: list[float], tau: float, valid: list[bool] | None = None) -> torch.Tensor:
    mask = torch.tensor(valid if valid is not None else [True] * len(weights), dtype=torch.bool)
    return project_to_tau_bound(torch.tensor(weights, dtype=torch.float64), mask, tau)


def normalized(scores: list[float]) -> list[float]:
    return [score / sum(scores) for score in scores]


scores = st.lists(st.floats(1e-4, 1), min_size=1, max_size=12)
taus = st.one_of(st.sampled_from(TAUS), st.floats(1e-3, 1))


def test_the_twins_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in range(1, 6):
        for tau in TAUS:
            weights = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
            assert by_enumeration(weights, tau) == pytest.approx(by_bisection(weights, tau), abs=1e-9)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_projection_is_the_nearest_allowed_point(tau: float, count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    for _ in range(20):
        weights = (torch.rand(count, generator=generator, dtype=torch.float64) ** 4).tolist()
        weights = normalized(weights)
        assert project(weights, tau).tolist() == pytest.approx(by_enumeration(weights, tau), abs=ATOL)


@given(scores=scores, tau=taus)
def test_weights_are_within_the_bound_and_sum_to_one(scores: list[float], tau: float) -> None:
    weights = normalized(scores)
    found = project(weights, tau)
    count = len(weights)
    assert float(found.sum()) == pytest.approx(1, abs=ATOL)
    assert float(found.min()) >= tau / count - ATOL
    assert float(found.max()) <= 1 / (tau * count) + ATOL
    assert found.tolist() == pytest.approx(by_bisection(weights, tau), abs=ATOL)


@given(scores=scores, tau=taus, mask=st.lists(st.booleans(), min_size=12, max_size=12))
def test_invalid_views_weigh_nothing_and_disturb_nobody(scores: list[float], tau: float, mask: list[bool]) -> None:
    valid = mask[: len(scores)]
    found = project(scores, tau, valid).tolist()
    kept = [score for score, ok in zip(scores, valid, strict=True) if ok]
    assert [w for w, ok in zip(found, valid, strict=True) if not ok] == [0.0] * (len(scores) - len(kept))
    # Not normalized here: the projection must hold for any input, not only for what the network feeds it.
    assert [w for w, ok in zip(found, valid, strict=True) if ok] == pytest.approx(by_bisection(kept, tau), abs=ATOL)


@pytest.mark.parametrize("weights", [[0.25] * 4, [0.5, 0.5, 0, 0], [1, 0, 0, 0], [0.4, 0.4, 0.1, 0.1]])
@pytest.mark.parametrize("tau", TAUS)
def test_ties_share_alike(weights: list[float], tau: float) -> None:
    found = project(weights, tau).tolist()
    assert found == pytest.approx(by_enumeration(weights, tau), abs=ATOL)
    for i, j in ((i, j) for i in range(4) for j in range(4)):
        if weights[i] == weights[j]:
            assert found[i] == pytest.approx(found[j], abs=1e-12)


def test_a_bound_met_by_corners_alone() -> None:
    """m = 3, tau = 1/2: two at the lower and one at the upper bound already sum to 1; no entry is free."""
    assert project([0, 0, 1], 0.5).tolist() == pytest.approx([1 / 6, 1 / 6, 2 / 3], abs=ATOL)
    assert project([5, 0, 1], 0.5).tolist() == pytest.approx([2 / 3, 1 / 6, 1 / 6], abs=ATOL)


def test_one_view_gets_everything_and_none_nothing() -> None:
    assert project([0.3], 0.7).tolist() == [1.0]
    assert project([0.3, 0.9, 0.2], 0.7, [False, True, False]).tolist() == [0.0, 1.0, 0.0]
    assert project([0.3, 0.9], 0.7, [False, False]).tolist() == [0.0, 0.0]


def test_tau_one_is_the_mean() -> None:
    assert project([0.7, 0.1, 0.1, 0.1], 1.0).tolist() == pytest.approx([0.25] * 4, abs=1e-12)


@pytest.mark.parametrize("tau", [0.0, -0.1, 1.01])
def test_an_impossible_tau_is_refused(tau: float) -> None:
    with pytest.raises(ValueError, match="tau is"):
        project([0.5, 0.5], tau)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0, 2)])
def test_batches_are_projected_row_by_row(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(6)
    weights = torch.rand(*shape, 5, generator=generator, dtype=torch.float64)
    valid = torch.rand(*shape, 5, generator=generator) > 0.3
    if shape and weights.numel():
        valid.reshape(-1, 5)[0] = False
    found = project_to_tau_bound(weights, valid, 0.7)
    assert found.shape == weights.shape
    for row, mask, result in zip(weights.reshape(-1, 5), valid.reshape(-1, 5), found.reshape(-1, 5), strict=True):
        torch.testing.assert_close(result[mask].tolist(), by_bisection(row[mask].tolist(), 0.7), atol=ATOL, rtol=0)


def test_single_precision_keeps_the_bound() -> None:
    """Cumulative sums of some 64 numbers below 1/tau: 1e2 roundings of 6e-8, on top of the search's 1e-6."""
    generator = torch.Generator().manual_seed(8)
    weights = torch.rand(200, 32, generator=generator) ** 8
    weights = weights / weights.sum(-1, keepdim=True)
    found = project_to_tau_bound(weights, torch.ones_like(weights, dtype=torch.bool), 0.7)
    torch.testing.assert_close(found.sum(-1), torch.ones(200), atol=1e-5, rtol=0)
    assert found.min() >= 0.7 / 32 - 1e-5
    assert found.max() <= 1 / (0.7 * 32) + 1e-5


@pytest.mark.parametrize("tau", [0.9, 0.7, 0.4])
def test_the_gradient_is_i_minus_the_mean_on_the_free_entries(tau: float) -> None:
    generator = torch.Generator().manual_seed(2)
    free_counts = set()
    valid = torch.tensor([True] * 5 + [False])
    for _ in range(40):
        weights = torch.rand(6, generator=generator, dtype=torch.float64) ** 2
        weights = weights / weights.sum()
        jacobian = torch.autograd.functional.jacobian(lambda w: project_to_tau_bound(w, valid, tau), weights)
        nearest = torch.tensor([*by_enumeration(weights[:5].tolist(), tau), 0.0], dtype=torch.float64)
        free = valid & (nearest > tau / 5 + 1e-9) & (nearest < 1 / (5 * tau) - 1e-9)
        count = int(free.sum())
        free_counts.add(count)
        expected = torch.zeros(6, 6, dtype=torch.float64)
        for i in range(6):
            for j in range(6):
                if free[i] and free[j]:
                    expected[i, j] = (1.0 if i == j else 0.0) - 1 / count
        torch.testing.assert_close(jacobian, expected, atol=1e-12, rtol=0)
    assert len(free_counts) >= 3, "the test must see different numbers of free entries"


def test_the_gradient_is_that_of_the_values() -> None:
    """Finite differences, away from the kinks."""
    weights = torch.tensor([[0.5, 0.22, 0.18, 0.1], [0.28, 0.26, 0.24, 0.22]], dtype=torch.float64, requires_grad=True)
    valid = torch.ones(2, 4, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda w: project_to_tau_bound(w, valid, 0.7), weights, eps=1e-5)


def context_of(views: int, rays: int, samples: int, *, seed: int = 0, sight: bool = False) -> ContextSpace:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    tokens = random(views, rays, samples, 32)
    valid = torch.rand(views, rays, samples, generator=generator) > 0.3
    valid[:, 0, 0] = False
    return ContextSpace(
        tokens,
        tokens,
        random(views, rays, samples, 4),
        random(views, rays, samples, 3).sigmoid(),
        valid,
        random(views, rays, samples, 2) if sight else None,
    )


@pytest.mark.parametrize("sight", [False, True])
def test_the_network_scores_each_view_by_table_14(sight: bool) -> None:
    torch.manual_seed(0)
    network, context = SemanticWeightNetwork(32, 0.7, sight=sight), context_of(4, 3, 2, sight=sight)
    found = network(context)
    first, _, second, _, third = network.mlp
    for ray in range(3):
        for sample in range(2):
            raw = []
            seeing = [view for view in range(4) if context.valid[view, ray, sample]]
            for view in seeing:
                place = view, ray, sample
                told = torch.zeros(0) if context.sight is None else context.sight[place]
                x = torch.cat([context.tokens[place], context.directions[place], torch.ones(1), told])
                for linear in (first, second):
                    x = linear.weight @ x + linear.bias
                    x = torch.where(x > 0, x, torch.exp(x) - 1)
                raw.append(1 / (1 + math.exp(-(third.weight @ x + third.bias).item())))
            expected = torch.zeros(4)
            if seeing:
                expected[seeing] = torch.tensor(by_bisection(normalized(raw), 0.7))
            # Single precision through three small layers.
            torch.testing.assert_close(found[:, ray, sample], expected, atol=1e-5, rtol=0)


def test_the_network_learns_through_the_bound() -> None:
    torch.manual_seed(0)
    network, context = SemanticWeightNetwork(32, 0.2), context_of(4, 3, 2)
    (network(context) * torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1))).sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert network.mlp[0].weight.grad.abs().max() > 0
