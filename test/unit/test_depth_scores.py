"""Depth errors: by hand, and against their twin."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import depth_scores as twin

from sray.metrics import depth_scores

NAN = math.nan


def test_by_hand() -> None:
    """True 2 m everywhere. Right; 4 % too far; 0.2 m too near; twice as far; none at all; and no truth."""
    depth = torch.tensor([[2.0, 2.08, 1.8], [4.0, NAN, 3.0]])
    truth = torch.tensor([[2.0, 2.0, 2.0], [2.0, 2.0, NAN]])
    scores = depth_scores(depth, truth)
    assert scores.abs_rel == pytest.approx((0 + 0.04 + 0.1 + 1) / 4)
    assert scores.within_1_25 == pytest.approx(3 / 5), "a missing depth is not within"
    assert scores.within_1_05 == pytest.approx(2 / 5)
    assert scores.median_error == pytest.approx((0.08 + 0.2) / 2)
    answered = depth_scores(depth, truth, depth.isfinite())
    assert answered.within_1_25 == pytest.approx(3 / 4) and answered.abs_rel == pytest.approx(scores.abs_rel)


def test_too_near_by_a_factor_counts_as_too_far_by_it() -> None:
    truth = torch.full((4,), 2.0)
    assert depth_scores(truth / 1.3, truth).within_1_25 == depth_scores(truth * 1.3, truth).within_1_25 == 0
    assert depth_scores(truth / 1.2, truth).within_1_25 == depth_scores(truth * 1.2, truth).within_1_25 == 1


def test_without_truth_nothing_is_scored_and_without_depth_nothing_is_within() -> None:
    nothing = torch.full((3,), NAN)
    assert all(math.isnan(each) for each in astuple(depth_scores(torch.ones(3), nothing)))
    scores = depth_scores(nothing, torch.ones(3))
    assert scores.within_1_25 == scores.within_1_05 == 0
    assert math.isnan(scores.abs_rel) and math.isnan(scores.median_error)


# Eighths are exact in float32, in which pictures are; their ratios are rounded alike on both sides.
meters = st.one_of(st.just(NAN), st.just(0.0), st.integers(1, 64).map(lambda n: n / 8))


@given(st.lists(st.tuples(meters, meters, st.booleans()), min_size=1, max_size=40))
def test_scores_are_their_twin(pixels: list[tuple[float, float, bool]]) -> None:
    depth, truth, scored = (list(column) for column in zip(*pixels, strict=True))
    found = depth_scores(torch.tensor(depth), torch.tensor(truth), torch.tensor(scored))
    for ours, theirs in zip(astuple(found), twin.depth_scores(depth, truth, scored), strict=True):
        assert (math.isnan(ours) and math.isnan(theirs)) or ours == pytest.approx(theirs, abs=1e-12)
