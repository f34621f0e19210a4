"""Where samples lie: depth and back, even samples, importance samples against their twin."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference.importance_sampling import centers, invert

from sray.sampling import DepthRange, importance_samples, joined_samples, scene_bounds, uniform_samples

CPU = torch.device("cpu")
FLOOR = 1e-3
"""What importance sampling spreads over all bins together, beside weights that sum to at most 1."""


@pytest.mark.parametrize(
    ("spacing", "depths"),
    [("inverse", [1.0, 1 / 0.8125, 1 / 0.625, 4.0]), ("log", [1.0, math.sqrt(2), 2.0, 4.0])],
)
def test_spacing_by_known_numbers(spacing: str, depths: list[float]) -> None:
    """From 1 m to 4 m: even in 1/z between 1 and 1/4, or even in log z."""
    coordinates = torch.tensor([0, 0.25, 0.5, 1], dtype=torch.float64)
    found = DepthRange(1.0, 4.0, spacing).depth_of(coordinates)  # type: ignore[arg-type]
    assert found.tolist() == pytest.approx(depths, abs=1e-12)


@given(
    coordinate=st.floats(0, 1),
    near=st.floats(0.05, 2),
    ratio=st.floats(1.01, 100),
    spacing=st.sampled_from(["inverse", "log"]),
)
def test_depth_and_coordinate_are_inverse_and_within_bounds(
    coordinate: float, near: float, ratio: float, spacing: str
) -> None:
    s = torch.tensor(coordinate, dtype=torch.float64)
    between = DepthRange(near, near * ratio, spacing)  # type: ignore[arg-type]
    depth = between.depth_of(s)
    assert near * (1 - 1e-12) <= float(depth) <= near * ratio * (1 + 1e-12)
    back = between.coordinate_of(depth)
    # The bounds may be 1 % apart: their difference keeps 1e-16 / 1e-2 of its digits.
    assert float(back) == pytest.approx(coordinate, abs=1e-11)


@pytest.mark.parametrize(("near", "far"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (3.0, 2.0), (1.0, math.inf)])
def test_impossible_ranges_are_refused(near: float, far: float) -> None:
    with pytest.raises(ValueError, match="0 < near < far"):
        DepthRange(near, far, "log")


def test_bounds_of_a_scene_are_a_fifth_beyond_what_is_known_of_it() -> None:
    depths = torch.cat([torch.linspace(1.0, 5.0, 1001), torch.tensor([torch.nan, 0.0, -2.0, torch.inf])])
    near, far = scene_bounds(depths) or (0.0, 0.0)
    assert (near, far) == pytest.approx((0.8 * 1.04, 1.2 * 4.96), abs=1e-4)


def test_a_stray_reading_is_not_the_scene() -> None:
    depths = torch.full((1000,), 2.0)
    depths[:5], depths[5:10] = 0.01, 60.0
    assert scene_bounds(depths) == pytest.approx((1.6, 2.4))


def test_too_few_readings_say_nothing_of_a_scene() -> None:
    assert scene_bounds(torch.full((49,), 2.0)) is None
    assert scene_bounds(torch.cat([torch.full((49,), 2.0), torch.full((100,), torch.nan)])) is None
    assert scene_bounds(torch.full((50,), 2.0)) is not None


def test_even_samples_are_bin_centers() -> None:
    assert uniform_samples(2, 4, device=CPU).tolist() == [[0.125, 0.375, 0.625, 0.875]] * 2


def test_jittered_samples_stay_each_in_their_bin_and_fill_it() -> None:
    found = uniform_samples(500, 4, device=CPU, generator=torch.Generator().manual_seed(0))
    offsets = found * 4 - torch.arange(4)
    assert (offsets >= 0).all()
    assert (offsets < 1).all()
    # 500 draws leave a twentieth at either end empty with a chance of 0.95^500, some 1e-11.
    assert (offsets.amin(0) < 0.05).all()
    assert (offsets.amax(0) > 0.95).all()
    assert torch.equal(found, uniform_samples(500, 4, device=CPU, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("rays", [0, 1, 5])
@pytest.mark.parametrize(("bins", "samples"), [(2, 2), (8, 3), (16, 64)])
def test_importance_samples_are_their_twin(rays: int, bins: int, samples: int) -> None:
    weights = torch.rand(rays, bins, generator=torch.Generator().manual_seed(bins), dtype=torch.float64) ** 4
    if rays > 1:
        weights[0] = 0
        weights[1, :-1] = 0
    found = importance_samples(weights / bins, samples)
    assert found.shape == (rays, samples)
    for row, result in zip(weights / bins, found, strict=True):
        expected = invert(row.tolist(), centers(samples), FLOOR / bins)
        # Quantiles are made in single precision (6e-8); the thinnest bin still holds 1e-3 / 16 of at most 1 + 1e-3,
        # so a rounding moves a sample by 6e-8 / 6e-5 bins of a 16th.
        assert result.tolist() == pytest.approx(expected, abs=1e-4)


@given(
    weights=st.lists(st.one_of(st.just(0.0), st.floats(0, 1), st.floats(0, 1e-30)), min_size=2, max_size=64),
    samples=st.integers(2, 64),
    seed=st.one_of(st.none(), st.integers(0, 1000)),
    double=st.booleans(),
)
def test_importance_samples_ascend_within_0_and_1(
    weights: list[float], samples: int, seed: int | None, double: bool
) -> None:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    found = importance_samples(
        torch.tensor([weights], dtype=torch.float64 if double else torch.float32), samples, generator=generator
    )
    assert found.shape == (1, samples)
    assert found.isfinite().all()
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert (found.diff(dim=-1) >= -1e-6).all()


def test_samples_go_where_the_weight_is() -> None:
    weights = torch.zeros(1, 32)
    weights[0, 20] = 0.9
    found = importance_samples(weights, 64)
    inside = ((found >= 20 / 32) & (found <= 21 / 32)).sum()
    assert inside >= 63


def test_samples_of_the_whole_ray_join_those_around_the_surface_in_order() -> None:
    around = torch.tensor([[0.31, 0.32], [0.9, 0.95]])
    joined = joined_samples(around, 4)
    torch.testing.assert_close(
        joined, torch.tensor([[0.125, 0.31, 0.32, 0.375, 0.625, 0.875], [0.125, 0.375, 0.625, 0.875, 0.9, 0.95]])
    )
    assert joined_samples(around, 0) is around


def test_a_ray_without_weights_is_sampled_evenly() -> None:
    torch.testing.assert_close(importance_samples(torch.zeros(2, 16), 8), uniform_samples(2, 8, device=CPU))


def test_no_gradient_flows_into_the_weights() -> None:
    weights = torch.rand(2, 8, requires_grad=True)
    assert not importance_samples(weights, 4).requires_grad
