"""Scores of a map against true surfaces: by hand, against their twin, and from depth pictures."""

from __future__ import annotations

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from hypothesis import given
from hypothesis import strategies as st
from reference import surfaces as twin

from sray_train.score.surfaces import SPACING, surface_scores, thinned, true_points


def wall(shift: float = 0.0, width: float = 1.0) -> np.ndarray:
    """Points every 5 cm of a wall 1 m high, `shift` meters behind z = 2."""
    x, y = np.meshgrid(np.arange(0, width, 0.05), np.arange(0, 1, 0.05))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, 2 + shift)], axis=1).astype(np.float32)


def test_a_map_on_the_surface_scores_one() -> None:
    scores = surface_scores(wall(), wall())
    assert astuple(scores) == (0, 0, 1, 1, 1)


def test_a_shifted_map_is_off_by_the_shift() -> None:
    near, far = surface_scores(wall(0.04), wall()), surface_scores(wall(0.06), wall())
    assert near.accuracy == near.completeness == pytest.approx(0.04, abs=1e-6)
    assert near.f_score == 1 and far.f_score == 0


def test_half_a_map_is_precise_and_not_complete() -> None:
    """10 of 20 columns, 1 cm too far: the next column is 5 cm to the side, and so more than 5 cm away."""
    scores = surface_scores(wall(0.01, width=0.5), wall())
    assert scores.precision == 1
    assert scores.recall == pytest.approx(1 / 2)
    assert scores.f_score == pytest.approx(2 / 3)


def test_a_cloud_of_rays_is_complete_and_not_precise() -> None:
    rays = np.concatenate([wall(), wall(-0.3), wall(-0.6), wall(-0.9)])
    scores = surface_scores(rays, wall())
    assert scores.recall == 1 and scores.precision == pytest.approx(1 / 4)


def test_a_place_seen_often_counts_no_more() -> None:
    wrong = wall(0.5)
    assert surface_scores(np.concatenate([wall(), wrong]), wall()) == surface_scores(
        np.concatenate([wall(), *[wrong] * 9]), wall()
    )


def test_nothing_against_something() -> None:
    empty = np.zeros((0, 3), np.float32)
    assert surface_scores(empty, wall()).f_score == 0
    assert math.isnan(surface_scores(wall(), empty).f_score)
    assert len(thinned(np.full((3, 3), np.nan))) == 0


corner = st.integers(0, 12).map(lambda n: (n + 0.5) * SPACING)
cloud = st.sets(st.tuples(corner, corner, corner), min_size=1, max_size=25).map(sorted)


@given(cloud, cloud)
def test_scores_are_their_twin(points: list[tuple[float, ...]], truth: list[tuple[float, ...]]) -> None:
    """One point in the middle of each voxel, so that thinning changes nothing; no distance of them is near 6 cm."""
    found = surface_scores(np.array(points, np.float32), np.array(truth, np.float32), within=0.06)
    assert astuple(found) == pytest.approx(twin.surface_scores(points, truth, 0.06), abs=1e-6)


def test_true_points_lie_on_the_wall_that_the_frames_saw() -> None:
    plane = PlaneScene()
    frames = [plane.frame((0.2 * index, 0.0, 0.0)) for index in range(3)]
    points = true_points(frames)
    assert len(points) > 100
    np.testing.assert_allclose(points[:, 2], plane.wall_z, atol=1e-5)
    holed = replace(frames[0], depth=torch.full_like(frames[0].depth, torch.nan))
    assert len(true_points([holed, replace(frames[1], depth=None)])) == 0
