"""Source views: the near, alike and overlapping ones first."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from hypothesis import given
from hypothesis import strategies as st
from reference import view_selection as twin

from sray.camera import Camera
from sray.field import SemanticField
from sray.finetune import FineTuner
from sray.finetune_config import FineTuneConfig
from sray.frame_renderer import FrameRenderer
from sray.frames import Frame
from sray.held_out import HeldOut
from sray.model import SemanticRay, SemanticRayConfig
from sray.own_labels import own_labels
from sray.sampling import ROOM_BOUNDS
from sray.view_selection import Selection, evenly_spread, nearest_views, pose_scores, select_views
from sray_train.data.scene import Scene
from sray_train.data.source_views import views_apart
from sray_train.tools.rendering.camera_path import PathRenderer, Stop

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


def scattered(count: int, places: int, extent: float, seed: int) -> Camera:
    """`count` level cameras at `places` poses of a room, so that several share one and tie exactly."""
    generator = np.random.default_rng(seed)
    poses = [
        camera(*generator.uniform(-extent, extent, 2), degrees=generator.uniform(-180, 180)) for _ in range(places)
    ]
    return batch(*(poses[index] for index in generator.integers(0, places, count)))


def doubles(cameras: Camera) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (k, pose)
        for k, pose in zip(cameras.intrinsics.double().numpy(), cameras.world_from_camera.double().numpy(), strict=True)
    ]


@given(
    seed=st.integers(0, 10_000),
    candidates=st.integers(1, 90),
    extent=st.sampled_from([0.1, 1.0, 5.0]),
    count=st.integers(1, 10),
    excluded_share=st.sampled_from([0.0, 0.5, 0.95]),
    min_overlap=st.sampled_from([0.0, 0.02, 0.5]),
    selection=st.sampled_from(get_args(Selection)),
)
def test_the_choice_is_the_twins(
    seed: int,
    candidates: int,
    extent: float,
    count: int,
    excluded_share: float,
    min_overlap: float,
    selection: Selection,
) -> None:
    cameras = scattered(candidates, max(1, candidates // 2), extent, seed)
    target = scattered(1, 1, extent, seed + 20_000)
    excluded = np.random.default_rng(seed).random(candidates) < excluded_share
    expected = twin.select(
        doubles(target)[0], doubles(cameras), 64, 48, 0.5, 8.0, count, excluded, min_overlap, selection
    )
    chosen = select_views(
        target[0],
        cameras,
        count,
        torch.from_numpy(excluded),
        bounds=(0.5, 8.0),
        min_overlap=min_overlap,
        selection=selection,
    )
    assert chosen == expected


@pytest.mark.parametrize("min_overlap", [0.0, 0.02, 0.6, 1.0])
def test_of_thousands_the_choice_is_that_of_a_full_scan(min_overlap: float) -> None:
    """The search stops early, starts again when few see the view, and gives up only when all were looked at."""
    cameras = scattered(3000, 2000, 4.0, seed=1)
    for target in (cameras[7], camera(), camera(x=100.0), camera(x=6.0, degrees=90)):
        scores = pose_scores(target, cameras)
        order = torch.argsort(scores.cost, stable=True)
        assert select_views(target, cameras, 8, min_overlap=min_overlap) == [
            int(index) for index in order[scores.overlap[order] >= min_overlap][:8]
        ]


def test_the_nearest_views_are_near_in_place_and_direction() -> None:
    # 0.1 m, 60 degrees = 1.33, 1 m, and 0.5 m with 30 degrees = 1.17
    candidates = batch(camera(degrees=60), camera(x=1.0), camera(x=0.1), camera(x=0.5, degrees=30))
    assert nearest_views(camera(), candidates, 3) == [2, 1, 3]
    assert nearest_views(camera(), candidates, 9) == [2, 1, 3, 0]


def test_the_scores_are_meters_radians_and_the_share_of_the_frustum_seen() -> None:
    scores = pose_scores(camera(), batch(camera(), camera(x=2.0), camera(degrees=90), camera(degrees=180)))
    assert scores.distance.tolist() == pytest.approx([0, 2, 0, 0])
    assert scores.angle.tolist() == pytest.approx([0, 0, math.pi / 2, math.pi], abs=1e-3)
    assert scores.overlap[0] == 1
    assert 0.1 < scores.overlap[1] < 0.9
    assert scores.overlap[2:].tolist() == [0, 0]


def test_targets_of_a_batch_are_scored_as_they_are_alone() -> None:
    cameras = scattered(20, 12, 3.0, seed=3)
    together = pose_scores(cameras[[0, 4, 9]], cameras)
    for place, index in enumerate([0, 4, 9]):
        alone = pose_scores(cameras[index], cameras)
        for name in ("distance", "angle", "overlap", "cost"):
            torch.testing.assert_close(getattr(together, name)[place], getattr(alone, name), atol=1e-5, rtol=0)


def test_nearer_views_come_first() -> None:
    assert select_views(camera(), batch(camera(x=1.0), camera(x=0.2), camera(x=-0.5)), 3) == [1, 2, 0]


def test_a_near_view_that_looks_away_loses_to_a_farther_one_that_looks_alike() -> None:
    assert select_views(camera(), batch(camera(x=0.1, degrees=120), camera(x=0.8)), 1) == [1]


def test_of_two_equally_far_views_the_one_that_sees_more_of_the_scene_wins() -> None:
    # A step back keeps everything in sight, a step forward leaves the near part behind.
    assert select_views(camera(), batch(camera(z=1.0), camera(z=-1.0)), 1) == [1]


def test_nearest_asks_of_overlap_only_that_there_is_enough() -> None:
    # Forward leaves the near part behind, back keeps all in sight but is a little farther.
    candidates = batch(camera(z=-1.0), camera(z=0.9), camera(degrees=180))
    assert select_views(camera(), candidates, 2) == [0, 1]
    assert select_views(camera(), candidates, 2, selection="nearest", min_overlap=0.02) == [1, 0]


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
    # More than one look sees, and all at the least cost there is.
    assert select_views(camera(), batch(*[camera()] * 300), 5) == [0, 1, 2, 3, 4]


def test_a_count_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="count is 0"):
        select_views(camera(), batch(camera()), 0)


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [(2, 8, [2, 6]), (1, 5, [2]), (3, 3, [0, 1, 2]), (4, 6, [0, 2, 3, 5]), (3, 2, [0, 1, 1]), (0, 4, [])],
)
def test_an_even_spread_is_the_middles_of_equal_parts(count: int, total: int, expected: list[int]) -> None:
    assert evenly_spread(count, total) == expected


def test_views_of_a_scene_are_chosen_by_what_they_see_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = PlaneScene(width=64, height=48).frame((0.0, 0.0, 0.0))
    frames = [replace(frame, camera=seen_from) for seen_from in (camera(), camera(x=0.3), camera(degrees=20))]
    model, config = SemanticRay(SemanticRayConfig(3)).eval(), FineTuneConfig(views=1)
    rendered_from: list[list[int]] = []

    def render(renderer: FrameRenderer, target: Camera, sources: list[int]) -> Frame:
        rendered_from.append(sources)
        return frame

    monkeypatch.setattr(FrameRenderer, "render", render)
    monkeypatch.setattr("sray.own_labels.VIEWS", 1)
    # Of what is near the camera aside sees nothing that the first one does; of a room it sees most.
    for bounds, best in ((ROOM_BOUNDS, 1), ((0.05, 0.2), 2)):
        scene = Scene("three", frames, Camera.stack([each.camera for each in frames]), bounds)
        assert scene.nearest(0, 1) == [best]
        assert views_apart(scene, 0, 2, 0.3, 20.0)[0] == best
        assert PathRenderer(SemanticField(model), scene, 1).sources(Stop(frames[0].camera, 0)) == [best]
        assert HeldOut(frames[:1], frames[1:], 1, bounds)._nearest == [[best - 1]]
        assert FineTuner(model, frames, config=config, bounds=bounds)._sources_of(0) == [best]
        own_labels(SemanticField(model), frames, [0], bounds)
        assert rendered_from.pop() == [best]
