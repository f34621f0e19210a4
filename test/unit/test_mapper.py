"""The mapper around a real model with random weights: what it renders from, refuses, and recovers from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from mapper_fixtures import (
    CLASSES,
    SMALL,
    CountingField,
    K,
    camera_at,
    filled,
    frame_at,
    kind_of,
    make_mapper,
    random_model,
)

from sray.errors import (
    CanceledError,
    NoMemoryError,
    NoViewsError,
    PoseError,
    SrayError,
    TooFewViewsError,
)
from sray.field import RenderedView, SemanticField
from sray.frames import SourceViews
from sray.label_space import VOID
from sray.mapping.cloud import LabeledCloud, cloud_of_view
from sray.mapping.keyframes import KeyframeConfig, Verdict
from sray.mapping.mapper_config import CloudConfig, MapperConfig, ViewsConfig
from sray.mapping.refusals import memory_errors
from sray.mapping.sources import SCENE_VIEWS
from sray.mapping.voxel_map import VoxelMapConfig
from sray.model import SemanticRay, SemanticRayConfig
from sray.sampling import ROOM_BOUNDS


def test_a_render_is_the_fields_own_render_of_the_nearest_keyframes() -> None:
    mapper = filled(make_mapper(views=ViewsConfig(count=2)), 1.0, 1.2, 1.4, 1.6)
    rendering = mapper.render(camera_at(1.3))
    assert sorted(float(k.camera.center[0]) for k in rendering.sources) == pytest.approx([1.2, 1.4])
    assert rendering.bounds == ROOM_BOUNDS
    alone = SemanticField(random_model(), SMALL)
    alone.set_sources(SourceViews.from_frames([k.frame for k in rendering.sources]), None, ROOM_BOUNDS)
    expected = alone.render(camera_at(1.3))
    torch.testing.assert_close(rendering.view.color, expected.color, atol=1e-5, rtol=0)
    assert torch.equal(rendering.view.labels, expected.labels)
    assert (expected.labels != VOID).any()


def test_a_keyframe_is_encoded_once_however_often_it_serves() -> None:
    field = CountingField(random_model(), SMALL)
    mapper = filled(make_mapper(field), 1.0, 1.2, 1.4)
    for x in (1.1, 1.3, 1.1):
        mapper.render(camera_at(x))
    assert mapper.add(frame_at(1.21)).verdict is Verdict.TOO_CLOSE
    assert field.encoded == 3


def test_a_focal_length_that_drifts_keeps_all_features_of_one_size() -> None:
    """Autofocus, or a new calibration: the first keyframe leaves, and those after it have another focal length."""
    torch.manual_seed(0)
    field = SemanticField(SemanticRay(SemanticRayConfig(CLASSES, reading_focal=60.0)), SMALL)
    mapper = make_mapper(field, keyframes=KeyframeConfig(max_age=0.5, min_sharpness=0.0))
    for number in range(8):
        frame = frame_at(1.0 + 0.2 * number)
        intrinsics = frame.camera.intrinsics.clone()
        intrinsics[0, 0] -= 1.5 * number
        mapper.add(replace(frame, camera=replace(frame.camera, intrinsics=intrinsics)))
        if number:
            mapper.render(frame.camera)
    assert len({keyframe.features.shape for keyframe in mapper.keyframes}) == 1
    last = mapper.keyframes[len(mapper.keyframes) - 1].camera
    assert field.model.reading_size(last) != field.model.reading_size(frame_at(1.0).camera)


def test_a_frame_is_never_its_own_source_unless_asked() -> None:
    for include_own, expected in ((False, [1.0, 1.4]), (True, [1.0, 1.2, 1.4])):
        mapper = filled(make_mapper(views=ViewsConfig(include_own=include_own)), 1.0, 1.2, 1.4)
        rendering = mapper.render(camera_at(1.2), stamp_ns=round(1.2e9))
        assert sorted(float(k.camera.center[0]) for k in rendering.sources) == pytest.approx(expected)


def test_asking_too_early_is_refused_and_answered_once_there_are_views() -> None:
    mapper = make_mapper()
    assert kind_of(lambda: mapper.render(camera_at(1.1))) is NoViewsError
    filled(mapper, 1.0)
    assert kind_of(lambda: mapper.render(camera_at(1.1))) is TooFewViewsError
    filled(mapper, 1.2)
    assert kind_of(lambda: mapper.render(camera_at(1.2), stamp_ns=round(1.2e9))) is TooFewViewsError
    assert len(mapper.render(camera_at(1.1)).sources) == 2


def test_views_that_see_nothing_of_the_target_do_not_count() -> None:
    mapper = filled(make_mapper(), 1.0, 1.2, 1.4)
    assert kind_of(lambda: mapper.render(camera_at(1.2, degrees=180))) is TooFewViewsError


@pytest.mark.parametrize("spoil", ["nan", "scaled", "mirrored", "sheared row"])
def test_a_pose_that_is_not_rigid_is_refused_and_nothing_is_kept(spoil: str) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    frame = frame_at(1.5)
    pose = frame.camera.world_from_camera
    if spoil == "nan":
        pose[0, 3] = math.nan
    elif spoil == "scaled":
        pose[:3, :3] *= 1.01
    elif spoil == "mirrored":
        pose[0, 0] *= -1
    else:
        pose[3, 0] = 1
    assert kind_of(lambda: mapper.add(frame)) is PoseError
    assert kind_of(lambda: mapper.render(frame.camera)) is PoseError
    assert len(mapper.keyframes) == 2
    assert len(mapper.render(camera_at(1.1)).sources) == 2


def test_bounds_come_from_keyframe_depth_and_configured_ones_win() -> None:
    mapper = filled(make_mapper(), 1.0, 1.2, depth=3.0)
    assert mapper.bounds(camera_at(1.1)) == pytest.approx((0.8 * 3, 1.2 * 3), abs=1e-4)
    assert filled(make_mapper(near=1.5), 1.0, depth=3.0).bounds(camera_at(1.0)) == pytest.approx((1.5, 3.6), abs=1e-4)
    assert filled(make_mapper(near=5.0), 1.0, depth=3.0).bounds(camera_at(1.0)) == (5.0, 10.0)
    assert filled(make_mapper(near=0.2, far=4.0), 1.0).bounds(camera_at(1.0)) == (0.2, 4.0)


def test_of_many_keyframes_only_those_around_the_camera_tell_near_and_far() -> None:
    """The next room's wall lies in the same frustum, farther than any wall of this one."""
    mapper = make_mapper(keyframes=KeyframeConfig(capacity=200))
    there = torch.zeros(32, 8, 10)
    for index in range(SCENE_VIEWS):
        mapper.keyframes.add(frame_at(0.1 * index, depth=3.0), there)
    for index in range(SCENE_VIEWS):
        frame = frame_at(0.1 * index, depth=9.0)
        frame.camera.world_from_camera[2, 3] = 20.0
        mapper.keyframes.add(frame, there)
    assert mapper.bounds(camera_at(3.0)) == pytest.approx((0.8 * 3, 1.2 * 3), abs=1e-4)


def test_depth_beyond_max_depth_is_not_believed() -> None:
    mapper = filled(make_mapper(max_depth=2.5), 1.0, 1.2, depth=3.0)
    assert mapper.bounds(camera_at(1.1)) == ROOM_BOUNDS


def test_a_second_camera_is_brought_to_the_size_of_the_first() -> None:
    mapper = filled(make_mapper(), 1.0)
    mapper.add(frame_at(1.2, size=(80, 60)))
    assert [(k.camera.width, k.camera.height) for k in mapper.keyframes] == [(40, 30), (40, 30)]
    torch.testing.assert_close(mapper.keyframes[1].camera.intrinsics, K)
    assert len(mapper.render(camera_at(1.1)).sources) == 2


def test_canceling_is_an_error_of_its_own_and_the_next_render_works() -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    assert kind_of(lambda: mapper.render(camera_at(1.1), canceled=lambda: True)) is CanceledError
    assert mapper.render(camera_at(1.1), canceled=lambda: False).view.labels.shape == (30, 40)


def test_the_cloud_reprojects_onto_the_label_image() -> None:
    mapper = filled(make_mapper(cloud=CloudConfig(stride=3, max_jump=1e6)), 1.0, 1.2)
    target = camera_at(1.1, degrees=7)
    view = mapper.render(target).view
    cloud = mapper.cloud_of(view)
    mapper.map.integrate(cloud)
    assert len(cloud) == int((view.labels[::3, ::3] != VOID).sum()) > 20
    projection = target.project(torch.from_numpy(cloud.points))
    pixels = projection.pixels.round().long()
    torch.testing.assert_close(projection.pixels, pixels.float(), atol=2e-3, rtol=0)
    labels = view.labels[pixels[:, 1], pixels[:, 0]].numpy()
    np.testing.assert_array_equal(labels, cloud.labels)
    np.testing.assert_allclose(projection.depth, view.depth[pixels[:, 1], pixels[:, 0]], rtol=1e-5)
    assert len(mapper.map) > 0


def test_points_below_the_asked_confidence_are_left_out() -> None:
    view = filled(make_mapper(), 1.0, 1.2).render(camera_at(1.1)).view
    median = float(view.confidence.median())
    cloud = cloud_of_view(view, 1, median)
    assert 0 < len(cloud) < len(cloud_of_view(view))
    assert cloud.confidence.min() >= median


def test_points_between_two_surfaces_are_left_out() -> None:
    """A wall at 1 m before one at 3 m, a column of pixels between them; next to void, which is no edge."""
    camera = camera_at(0.0)
    view = RenderedView.blank(camera)
    depth = torch.full((camera.height, camera.width), 3.0)
    depth[:, :10], depth[:, 10] = 1.0, 2.0
    labels = torch.zeros_like(view.labels)
    labels[:, 30:] = VOID
    view = replace(view, depth=depth, labels=labels, confidence=torch.ones_like(depth))
    for jump, columns in ((math.inf, 30), (0.2, 27), (2.5, 30)):
        cloud = cloud_of_view(view, max_jump=jump)
        assert len(cloud) == columns * camera.height
        assert set(np.round(cloud.points[:, 2], 2).tolist()) == ({1.0, 2.0, 3.0} if columns == 30 else {1.0, 3.0})


def test_a_view_carves_where_it_sees_and_not_where_it_is_void() -> None:
    mapper, camera = make_mapper(), camera_at(0.0)
    point = np.array([[0.01, 0.01, 1.5]], np.float32)
    cloud = LabeledCloud(point, np.zeros((1, 3), np.uint8), np.zeros(1, np.uint8), np.ones(1, np.float32))
    empty = cloud_of_view(RenderedView.blank(camera))
    far = torch.full((camera.height, camera.width), 4.0)
    mapper.fuse(RenderedView.blank(camera), cloud)
    mapper.fuse(replace(RenderedView.blank(camera), depth=torch.full_like(far, math.nan), depth_with_void=far), empty)
    assert not mapper.map.state().looked_through.any()
    mapper.fuse(replace(RenderedView.blank(camera), depth=far, depth_with_void=far), empty)
    assert mapper.map.state().looked_through.tolist() == [1]


@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_a_jump_that_cannot_be_is_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match=r"cloud\.max_jump is"):
        CloudConfig(max_jump=value)


def test_clearing_forgets_and_starts_over() -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    mapper.map.integrate(mapper.cloud_of(mapper.render(camera_at(1.1)).view))
    mapper.clear()
    assert (len(mapper.keyframes), len(mapper.map)) == (0, 0)
    assert kind_of(lambda: mapper.render(camera_at(1.1))) is NoViewsError
    assert len(filled(mapper, 1.0, 1.2).render(camera_at(1.1)).sources) == 2


def test_new_settings_apply_to_the_next_frame_and_voxels_cannot_change() -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    mapper.configure(MapperConfig(keyframes=KeyframeConfig(min_translation=1.0), views=ViewsConfig(min=1)))
    assert mapper.add(frame_at(1.5)).verdict is Verdict.TOO_CLOSE
    assert len(mapper.render(camera_at(1.2), stamp_ns=round(1.2e9)).sources) == 1
    with pytest.raises(ValueError, match=r"map\.voxel_size is 0\.1"):
        mapper.configure(MapperConfig(map=VoxelMapConfig(voxel_size=0.1)))


def test_sources_are_selected_as_configured() -> None:
    """A little forward loses sight of what is near; a little farther back everything is seen."""

    def best(selection: str) -> float:
        mapper = make_mapper(views=ViewsConfig(count=1, min=1, selection=selection))  # type: ignore[arg-type]
        for stamp, z in enumerate((0.45, -0.5)):
            frame = frame_at(1.0)
            frame.camera.world_from_camera[2, 3] = z
            mapper.keyframes.add(replace(frame, stamp_ns=stamp), torch.zeros(32, 8, 10))
        return round(float(mapper.render(camera_at(1.0)).sources[0].camera.center[2]), 3)

    assert (best("pose_score"), best("nearest")) == (-0.5, 0.45)


@pytest.mark.fault(
    "a view is asked for that memory does not hold",
    code="OUT_OF_MEMORY",
    says="the answer to the request",
    recovery="ask for a smaller view; the next request is served",
)
def test_a_view_beyond_the_memory_is_refused_and_a_small_one_is_rendered() -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    huge = camera_at(1.1).resized(200_000, 200_000)  # 480 GB of confidence, depth and opacity
    with pytest.raises(SrayError, match="not enough memory to render .*render.width") as caught:
        mapper.render(huge)
    assert isinstance(caught.value, NoMemoryError)
    assert kind_of(lambda: mapper.render(huge.resized(2**40, 2**40))) is NoMemoryError
    assert mapper.render(camera_at(1.1)).view.labels.shape == (30, 40)


def test_other_errors_of_torch_are_not_taken_for_memory() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors("try", "nothing"):
        torch.zeros(2).reshape(3)
