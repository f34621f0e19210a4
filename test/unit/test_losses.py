"""Eq. 14-16 by hand; rays that teach nothing; where depth supervision pulls."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sray.label_space import VOID
from sray.learning.losses import LossWeights, RayTargets, depth_loss, semantic_loss, total_loss
from sray.ray_output import RayOutput
from sray.sampling import DepthRange

RANGE = DepthRange(0.5, 8.0, "log")


def output(rays: int, samples: int = 16, *, seed: int = 0) -> RayOutput:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(rays, samples, generator=generator) / samples
    coordinates = torch.rand(rays, samples, generator=generator).sort(-1).values
    return RayOutput(
        torch.randn(rays, 3, generator=generator),
        torch.rand(rays, 3, generator=generator),
        torch.ones(rays),
        weights.sum(-1),
        torch.full((rays,), 3.0),
        weights,
        coordinates,
    )


def test_cross_entropy_is_the_mean_over_labeled_rays() -> None:
    """Equal logits of 3 classes cost ln 3; a ray sure of the truth costs nothing; a void ray is not counted."""
    logits = torch.tensor([[0.0, 0, 0], [100, 0, 0], [0, 100, 0]])
    labels = torch.tensor([2, 0, VOID], dtype=torch.uint8)
    assert semantic_loss(logits, labels).item() == pytest.approx(math.log(3) / 2, abs=1e-6)


def test_without_labels_there_is_nothing_to_learn_and_no_nan() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    loss = semantic_loss(logits, torch.full((4,), VOID, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_the_total_is_eq_16_over_both_passes() -> None:
    coarse, fine = output(5), output(5, seed=1)
    labels = torch.tensor([0, 1, 2, VOID, 1], dtype=torch.uint8)
    color = torch.rand(5, 3, generator=torch.Generator().manual_seed(3))
    total, terms = total_loss((coarse, fine), RayTargets(color, labels), LossWeights(0.25, 0.75, 0.0), RANGE)
    semantic = sum(
        -math.log(math.exp(o.logits[r, int(labels[r])]) / sum(math.exp(x) for x in o.logits[r])) / 4
        for o in (coarse, fine)
        for r in (0, 1, 2, 4)
    )
    squares = sum(
        (float(o.color[r, c]) - float(color[r, c])) ** 2 / 15
        for o in (coarse, fine)
        for r in range(5)
        for c in range(3)
    )
    assert set(terms) == {"semantic", "color"}
    assert terms["semantic"].item() == pytest.approx(semantic, rel=1e-5)
    assert terms["color"].item() == pytest.approx(squares, rel=1e-5)
    assert total.item() == pytest.approx(0.25 * semantic + 0.75 * squares, rel=1e-5)


def test_depth_joins_with_its_weight_where_it_is_known() -> None:
    targets = RayTargets(torch.zeros(2, 3), torch.full((2,), VOID, dtype=torch.uint8), torch.tensor([2.0, torch.nan]))
    one = output(2)
    total, terms = total_loss((one,), targets, LossWeights(0.0, 0.0, 0.5), RANGE)
    assert total.item() == pytest.approx(0.5 * terms["depth"].item())
    first = replace(one, **{name: getattr(one, name)[:1] for name in one.__dataclass_fields__})
    assert terms["depth"].item() == pytest.approx(depth_loss(first, torch.tensor([2.0]), RANGE).item(), rel=1e-6)


@pytest.mark.parametrize("depth", [torch.nan, 0.1, 50.0])
def test_unknown_and_out_of_bounds_depth_teaches_nothing(depth: float) -> None:
    assert depth_loss(output(3), torch.full((3,), depth), RANGE).item() == 0


@pytest.mark.parametrize("spacing", ["log", "inverse"])
def test_depth_supervision_pulls_the_weights_to_the_surface(spacing: str) -> None:
    """Weight at the surface costs less than the same weight elsewhere, nearer costs less than farther off."""
    depth = torch.tensor([2.0])
    between = DepthRange(0.5, 8.0, spacing)  # type: ignore[arg-type]
    surface = float(between.coordinate_of(depth))
    coordinates = torch.linspace(0, 1, 101)[None]

    def cost(place: float) -> float:
        weights = torch.zeros(1, 101)
        weights[0, round(100 * place)] = 0.9
        rays = replace(output(1), weights=weights, coordinates=coordinates, opacity=weights.sum(-1))
        return depth_loss(rays, depth, between).item()

    assert cost(surface) < cost(surface + 0.05) < cost(surface + 0.2)
    assert cost(surface) < cost(surface - 0.05) < cost(surface - 0.2)


def test_depth_supervision_fills_an_empty_ray() -> None:
    weights = torch.full((1, 17), 1e-3, requires_grad=True)
    rays = replace(output(1), weights=weights, opacity=weights.sum(-1), coordinates=torch.linspace(0, 1, 17)[None])
    depth_loss(rays, torch.tensor([2.0]), RANGE).backward()
    assert weights.grad is not None
    surface = 8  # 2 m is the middle of 0.5 to 8 m in log depth
    assert weights.grad[0, surface] < 0, "more weight at the surface lowers the loss"
    assert weights.grad[0].argmin() == surface


def test_depth_loss_by_hand() -> None:
    """Half the light stops at the surface, a quarter 0.2 of the ray behind it, a quarter nowhere."""
    weights = torch.tensor([[0.5, 0.25]])
    rays = replace(output(1), weights=weights, opacity=weights.sum(-1), coordinates=torch.tensor([[0.5, 0.7]]))
    spread, leftover, missed = 10 * 0.25 * 0.2, 0.25, -math.log(0.5 + 1e-3) / 10
    # 2 m is the middle of 0.5 to 8 m in log depth.
    found = depth_loss(rays, torch.tensor([2.0]), RANGE).item()
    assert found == pytest.approx(spread + leftover + missed, rel=1e-5)
