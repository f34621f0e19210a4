"""Source views: the near, alike and overlapping ones first."""

from __future__ import annotations

import math

import pytest
import torch

from sray.camera import Camera
from sray.view_selection import pose_scores, select_views

K = torch.tensor([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])


def camera(x: float = 0.0, z: float = 0.0, degrees: float = 0.0) -> Camera:
    angle = math.radians(degrees)
    pose = torch.eye(4)
    pose[0, 0] = pose[2, 2] = math.cos(angle)
    pose[0, 2], pose[2, 0] = math.sin(angle), -math.sin(angle)
    pose[0, 3], pose[2, 3] = x, z
    return Camera(K, pose, 64, 48)


def batch(*cameras: Camera) -> Camera:
    return Camera.stack(cameras)


def test_the_scores_are_metres_radians_and_the_share_of_the_frustum_seen() -> None:
    scores = pose_scores(camera(), batch(camera(), camera(x=2.0), camera(degrees=90), camera(degrees=180)))
    assert scores.distance.tolist() == pytest.approx([0, 2, 0, 0])
    assert scores.angle.tolist() == pytest.approx([0, 0, math.pi / 2, math.pi], abs=1e-3)
    assert scores.overlap[0] == 1
    assert 0.1 < scores.overlap[1] < 0.9
    assert scores.overlap[2:].tolist() == [0, 0]


def test_nearer_views_come_first() -> None:
    assert select_views(camera(), batch(camera(x=1.0), camera(x=0.2), camera(x=-0.5)), 3) == [1, 2, 0]


def test_a_near_view_that_looks_away_loses_to_a_farther_one_that_looks_alike() -> None:
    assert select_views(camera(), batch(camera(x=0.1, degrees=120), camera(x=0.8)), 1) == [1]


def test_of_two_equally_far_views_the_one_that_sees_more_of_the_scene_wins() -> None:
    # A step back keeps everything in sight, a step forward leaves the near part behind.
    assert select_views(camera(), batch(camera(z=1.0), camera(z=-1.0)), 1) == [1]


def test_excluded_views_are_never_chosen_even_if_too_few_remain() -> None:
    candidates = batch(camera(), camera(x=0.3), camera(x=0.6))
    assert select_views(camera(), candidates, 3, torch.tensor([True, False, False])) == [1, 2]
    assert select_views(camera(), candidates, 3, torch.tensor([True, True, True])) == []


def test_views_that_see_nothing_of_the_target_are_left_out_on_request() -> None:
    candidates = batch(camera(degrees=180), camera(x=0.3))
    assert select_views(camera(), candidates, 2) == [1, 0]
    assert select_views(camera(), candidates, 2, min_overlap=0.01) == [1]


def test_ties_go_to_the_lower_index() -> None:
    assert select_views(camera(), batch(camera(x=0.3), camera(x=-0.3), camera(x=0.3)), 3) == [0, 1, 2]


def test_a_count_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="count is 0"):
        select_views(camera(), batch(camera()), 0)
