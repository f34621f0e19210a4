"""The mapper around a real model with random weights: what it renders from, refuses, and recovers from."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from sray.camera import Camera
from sray.errors import (
    CanceledError,
    ModelError,
    NoMemoryError,
    NoViewsError,
    PictureError,
    PoseError,
    SrayError,
    TooFewViewsError,
)
from sray.field import RenderConfig, SemanticField
from sray.frames import Frame, SourceViews
from sray.label_space import VOID
from sray.mapping.cloud import cloud_of_view
from sray.mapping.keyframes import KeyframeConfig, Verdict
from sray.mapping.mapper import Mapper
from sray.mapping.mapper_config import CloudConfig, MapperConfig, ViewsConfig
from sray.mapping.refusals import memory_errors
from sray.mapping.sources import SCENE_VIEWS
from sray.mapping.voxel_map import VoxelMapConfig
from sray.model import SemanticRay, SemanticRayConfig
from sray.sampling import ROOM_BOUNDS

CLASSES = 5
K = torch.tensor([[30.0, 0, 19.5], [0, 30.0, 14.5], [0, 0, 1]])


class CountingField(SemanticField):
    """The field itself; it also counts what it is asked to encode."""

    encoded = 0

    def encode(self, image: torch.Tensor, camera: Camera) -> torch.Tensor:
        self.encoded += 1
        return super().encode(image, camera)


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(CLASSES))


@pytest.fixture
def field(model: SemanticRay) -> CountingField:
    return CountingField(model, RenderConfig(coarse_samples=8, fine_samples=8, min_opacity=0.0))


@pytest.fixture
def make_mapper(field: CountingField) -> Callable[..., Mapper]:
    return lambda **config: Mapper(field, CLASSES, MapperConfig(**config))


def camera_at(x: float, degrees: float = 0.0) -> Camera:
    angle = math.radians(degrees)
    pose = torch.eye(4)
    pose[0, 0] = pose[2, 2] = math.cos(angle)
    pose[0, 2], pose[2, 0] = math.sin(angle), -math.sin(angle)
    pose[0, 3] = x
    return Camera(K, pose, 40, 30)


def frame_at(x: float, depth: float | None = None, size: tuple[int, int] = (40, 30)) -> Frame:
    generator = torch.Generator().manual_seed(round(1000 * x))
    image = torch.randint(0, 256, (30, 40, 3), generator=generator, dtype=torch.uint8)
    meters = None if depth is None else torch.full((30, 40), depth)
    return Frame(image, camera_at(x), meters, stamp_ns=round(1e9 * x)).resized(*size)


def kind_of(action: Callable[[], object]) -> type[SrayError]:
    with pytest.raises(SrayError) as caught:
        action()
    return type(caught.value)


def filled(mapper: Mapper, *xs: float, depth: float | None = None) -> Mapper:
    for x in xs:
        assert mapper.add(frame_at(x, depth)).verdict is Verdict.ENTERS
    return mapper


def test_a_render_is_the_fields_own_render_of_the_nearest_keyframes(
    make_mapper: Callable[..., Mapper], model: SemanticRay
) -> None:
    mapper = filled(make_mapper(views=ViewsConfig(count=2)), 1.0, 1.2, 1.4, 1.6)
    rendering = mapper.render(camera_at(1.3))
    assert sorted(float(k.camera.center[0]) for k in rendering.sources) == pytest.approx([1.2, 1.4])
    assert rendering.bounds == ROOM_BOUNDS
    alone = SemanticField(model, RenderConfig(coarse_samples=8, fine_samples=8, min_opacity=0.0))
    alone.set_sources(SourceViews.from_frames([k.frame for k in rendering.sources]), None, ROOM_BOUNDS)
    expected = alone.render(camera_at(1.3))
    torch.testing.assert_close(rendering.view.color, expected.color, atol=1e-5, rtol=0)
    assert torch.equal(rendering.view.labels, expected.labels)
    assert (expected.labels != VOID).any()


def test_a_keyframe_is_encoded_once_however_often_it_serves(
    make_mapper: Callable[..., Mapper], field: CountingField
) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2, 1.4)
    for x in (1.1, 1.3, 1.1):
        mapper.render(camera_at(x))
    assert mapper.add(frame_at(1.21)).verdict is Verdict.TOO_CLOSE
    assert field.encoded == 3


def test_a_frame_is_never_its_own_source_unless_asked(make_mapper: Callable[..., Mapper]) -> None:
    for include_own, expected in ((False, [1.0, 1.4]), (True, [1.0, 1.2, 1.4])):
        mapper = filled(make_mapper(views=ViewsConfig(include_own=include_own)), 1.0, 1.2, 1.4)
        rendering = mapper.render(camera_at(1.2), stamp_ns=round(1.2e9))
        assert sorted(float(k.camera.center[0]) for k in rendering.sources) == pytest.approx(expected)


def test_asking_too_early_is_refused_and_answered_once_there_are_views(make_mapper: Callable[..., Mapper]) -> None:
    mapper = make_mapper()
    assert kind_of(lambda: mapper.render(camera_at(1.1))) is NoViewsError
    filled(mapper, 1.0)
    assert kind_of(lambda: mapper.render(camera_at(1.1))) is TooFewViewsError
    filled(mapper, 1.2)
    assert kind_of(lambda: mapper.render(camera_at(1.2), stamp_ns=round(1.2e9))) is TooFewViewsError
    assert len(mapper.render(camera_at(1.1)).sources) == 2


def test_views_that_see_nothing_of_the_target_do_not_count(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2, 1.4)
    assert kind_of(lambda: mapper.render(camera_at(1.2, degrees=180))) is TooFewViewsError


@pytest.mark.parametrize("spoil", ["nan", "scaled", "mirrored", "sheared row"])
def test_a_pose_that_is_not_rigid_is_refused_and_nothing_is_kept(
    make_mapper: Callable[..., Mapper], spoil: str
) -> None:
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


def test_bounds_come_from_keyframe_depth_and_configured_ones_win(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2, depth=3.0)
    assert mapper.bounds(camera_at(1.1)) == pytest.approx((0.8 * 3, 1.2 * 3), abs=1e-4)
    assert filled(make_mapper(near=1.5), 1.0, depth=3.0).bounds(camera_at(1.0)) == pytest.approx((1.5, 3.6), abs=1e-4)
    assert filled(make_mapper(near=5.0), 1.0, depth=3.0).bounds(camera_at(1.0)) == (5.0, 10.0)
    assert filled(make_mapper(near=0.2, far=4.0), 1.0).bounds(camera_at(1.0)) == (0.2, 4.0)


def test_of_many_keyframes_only_those_around_the_camera_tell_near_and_far(make_mapper: Callable[..., Mapper]) -> None:
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


def test_depth_beyond_max_depth_is_not_believed(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(max_depth=2.5), 1.0, 1.2, depth=3.0)
    assert mapper.bounds(camera_at(1.1)) == ROOM_BOUNDS


def test_a_second_camera_is_brought_to_the_size_of_the_first(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(), 1.0)
    mapper.add(frame_at(1.2, size=(80, 60)))
    assert [(k.camera.width, k.camera.height) for k in mapper.keyframes] == [(40, 30), (40, 30)]
    torch.testing.assert_close(mapper.keyframes[1].camera.intrinsics, K)
    assert len(mapper.render(camera_at(1.1)).sources) == 2


def test_canceling_is_an_error_of_its_own_and_the_next_render_works(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    assert kind_of(lambda: mapper.render(camera_at(1.1), canceled=lambda: True)) is CanceledError
    assert mapper.render(camera_at(1.1), canceled=lambda: False).view.labels.shape == (30, 40)


def test_the_cloud_reprojects_onto_the_label_image(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(cloud=CloudConfig(stride=3)), 1.0, 1.2)
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


def test_points_below_the_asked_confidence_are_left_out(make_mapper: Callable[..., Mapper]) -> None:
    view = filled(make_mapper(), 1.0, 1.2).render(camera_at(1.1)).view
    median = float(view.confidence.median())
    cloud = cloud_of_view(view, 1, median)
    assert 0 < len(cloud) < len(cloud_of_view(view))
    assert cloud.confidence.min() >= median


def test_clearing_forgets_and_starts_over(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    mapper.map.integrate(mapper.cloud_of(mapper.render(camera_at(1.1)).view))
    mapper.clear()
    assert (len(mapper.keyframes), len(mapper.map)) == (0, 0)
    assert kind_of(lambda: mapper.render(camera_at(1.1))) is NoViewsError
    assert len(filled(mapper, 1.0, 1.2).render(camera_at(1.1)).sources) == 2


def test_new_settings_apply_to_the_next_frame_and_voxels_cannot_change(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    mapper.configure(MapperConfig(keyframes=KeyframeConfig(min_translation=1.0), views=ViewsConfig(min=1)))
    assert mapper.add(frame_at(1.5)).verdict is Verdict.TOO_CLOSE
    assert len(mapper.render(camera_at(1.2), stamp_ns=round(1.2e9)).sources) == 1
    with pytest.raises(ValueError, match=r"map\.voxel_size is 0\.1"):
        mapper.configure(MapperConfig(map=VoxelMapConfig(voxel_size=0.1)))


def test_labels_that_come_late_go_to_the_keyframe_of_their_stamp(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2, 1.4)
    before, size, revision = list(mapper.keyframes), mapper.keyframes.bytes, mapper.keyframes.revision
    labels = (torch.arange(30 * 40) % CLASSES).to(torch.uint8).reshape(30, 40)
    labels[3, 4] = VOID
    labeled = mapper.supervise(round(1.21e9), labels, slop_ns=round(0.02e9))
    assert labeled is mapper.keyframes[1]
    assert torch.equal(labeled.frame.labels, labels)
    assert (before[1].frame.labels, labeled.number, labeled.features is before[1].features) == (None, 1, True)
    assert [mapper.keyframes[0], mapper.keyframes[2]] == [before[0], before[2]]
    assert (mapper.keyframes.bytes, mapper.keyframes.revision) == (size + 30 * 40, revision + 1)
    mapper.supervise(round(1.2e9), torch.zeros(30, 40, dtype=torch.uint8))
    assert int(mapper.keyframes[1].frame.labels.sum()) == 0, "the last ones hold"
    assert mapper.keyframes.bytes == size + 30 * 40
    assert mapper.render(camera_at(1.1)).view.labels.shape == (30, 40)


def test_labels_of_no_keyframe_are_of_no_use(make_mapper: Callable[..., Mapper]) -> None:
    labels = torch.zeros(30, 40, dtype=torch.uint8)
    mapper = make_mapper()
    assert mapper.supervise(0, labels, slop_ns=10**9) is None
    filled(mapper, 1.0, 1.2)
    revision = mapper.keyframes.revision
    assert mapper.supervise(round(1.2e9) + 11, labels, slop_ns=10) is None
    assert mapper.supervise(round(1.1e9), labels) is None
    assert mapper.keyframes.revision == revision
    assert all(keyframe.frame.labels is None for keyframe in mapper.keyframes)


def test_of_keyframes_of_one_stamp_the_newest_gets_the_labels(make_mapper: Callable[..., Mapper]) -> None:
    """A bag in a loop shows its stamps again."""
    mapper = filled(make_mapper(), 1.0)
    mapper.add(replace(frame_at(1.4), stamp_ns=10**9))
    labeled = mapper.supervise(10**9, torch.zeros(30, 40, dtype=torch.uint8))
    assert labeled is mapper.keyframes[1]


def test_labels_of_another_size_are_sampled_at_pixel_centers(make_mapper: Callable[..., Mapper]) -> None:
    mapper = filled(make_mapper(), 1.0)
    large = torch.zeros(90, 120, dtype=torch.uint8)
    large[1::3, 1::3] = 4  # the center of each block of 3 x 3
    labeled = mapper.supervise(10**9, large)
    assert (labeled.frame.labels == 4).all()
    assert labeled.frame.labels.shape == (30, 40)


@pytest.mark.fault(
    "label images hold ids that are no class of the model",
    code="BAD_ENCODING",
    says="the log and the last refusal",
    recovery="publish class indices of the model's label space; the keyframe keeps the labels it had",
)
def test_labels_that_are_no_class_are_refused_by_value_and_the_old_ones_stay(
    make_mapper: Callable[..., Mapper],
) -> None:
    mapper = filled(make_mapper(), 1.0)
    good = torch.full((30, 40), CLASSES - 1, dtype=torch.uint8)
    mapper.supervise(10**9, good)
    bad = good.clone()
    bad[2, 3] = CLASSES
    with pytest.raises(SrayError, match=f"hold {CLASSES}; expected indices of {CLASSES} classes") as caught:
        mapper.supervise(10**9, bad)
    assert isinstance(caught.value, PictureError)
    assert kind_of(lambda: mapper.supervise(10**9, torch.zeros(0, 4, dtype=torch.uint8))) is PictureError
    assert torch.equal(mapper.keyframes[0].frame.labels, good)


def test_after_a_change_of_model_views_are_the_new_models(
    make_mapper: Callable[..., Mapper], model: SemanticRay
) -> None:
    torch.manual_seed(1)
    other = SemanticRay(SemanticRayConfig(CLASSES))
    config = RenderConfig(coarse_samples=8, fine_samples=8, min_opacity=0.0)
    mapper, fresh = filled(make_mapper(), 1.0, 1.2), Mapper(SemanticField(other, config), CLASSES)
    mapper.map.integrate(mapper.cloud_of(mapper.render(camera_at(1.1)).view))
    voxels, revision = mapper.map.to_cloud(), mapper.keyframes.revision
    mapper.change_model(SemanticField(other, config))
    expected = filled(fresh, 1.0, 1.2).render(camera_at(1.1)).view
    found = mapper.render(camera_at(1.1)).view
    assert torch.equal(found.labels, expected.labels)
    assert torch.equal(found.confidence, expected.confidence)
    np.testing.assert_array_equal(mapper.map.to_cloud().points, voxels.points)
    assert (mapper.keyframes.revision, mapper.keyframes.bytes) == (revision + 1, fresh.keyframes.bytes)
    mapper.add(frame_at(1.4))
    assert torch.equal(mapper.keyframes[2].features, filled(fresh, 1.4).keyframes[2].features)


def test_a_change_of_model_that_fails_halfway_changes_nothing(
    make_mapper: Callable[..., Mapper], model: SemanticRay
) -> None:
    class FailingField(CountingField):
        def encode(self, image: torch.Tensor, camera: Camera) -> torch.Tensor:
            if self.encoded == 1:
                return torch.empty(2**46, dtype=torch.uint8)  # 64 TiB
            return super().encode(image, camera)

    mapper = filled(make_mapper(), 1.0, 1.2)
    before, revision = list(mapper.keyframes), mapper.keyframes.revision
    expected = mapper.render(camera_at(1.1)).view
    another = SemanticRay(SemanticRayConfig(CLASSES))
    assert kind_of(lambda: mapper.change_model(FailingField(another))) is NoMemoryError
    more = SemanticField(SemanticRay(SemanticRayConfig(CLASSES + 1)))
    assert kind_of(lambda: mapper.change_model(more)) is ModelError
    same_size, asked = SemanticField(SemanticRay(SemanticRayConfig(CLASSES))), iter([False, True])
    assert kind_of(lambda: mapper.change_model(same_size, lambda: next(asked))) is CanceledError
    assert all(now is then for now, then in zip(mapper.keyframes, before, strict=True))
    assert mapper.keyframes.revision == revision
    assert torch.equal(mapper.render(camera_at(1.1)).view.confidence, expected.confidence)


def test_a_model_with_the_same_encoder_takes_the_features_over(
    make_mapper: Callable[..., Mapper], model: SemanticRay
) -> None:
    tuned = deepcopy(model)
    torch.nn.init.constant_(tuned.fine.classifier.bias, 3.0)
    mapper, field = filled(make_mapper(), 1.0, 1.2), CountingField(tuned)
    before, label = [keyframe.features for keyframe in mapper.keyframes], mapper.render(camera_at(1.1)).view.confidence
    mapper.change_model(field)
    assert field.encoded == 0
    assert all(keyframe.features is features for keyframe, features in zip(mapper.keyframes, before, strict=True))
    assert not torch.equal(mapper.render(camera_at(1.1)).view.confidence, label)


def test_another_field_of_the_model_renders_one_view_and_the_configured_one_goes_on(
    make_mapper: Callable[..., Mapper], model: SemanticRay
) -> None:
    mapper = filled(make_mapper(), 1.0, 1.2)
    usual = mapper.render(camera_at(1.1)).view
    coarse = SemanticField(model, RenderConfig(coarse_samples=2, fine_samples=2, min_opacity=0.0))
    alone = SemanticField(model, coarse.config)
    alone.set_sources(SourceViews.from_frames([k.frame for k in mapper.render(camera_at(1.1)).sources]))
    found = mapper.render(camera_at(1.1), field=coarse).view
    torch.testing.assert_close(found.color, alone.render(camera_at(1.1)).color, atol=1e-5, rtol=0)
    assert not torch.equal(found.color, usual.color)
    assert torch.equal(mapper.render(camera_at(1.1)).view.color, usual.color)


def test_sources_are_selected_as_configured(make_mapper: Callable[..., Mapper]) -> None:
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
def test_a_view_beyond_the_memory_is_refused_and_a_small_one_is_rendered(make_mapper: Callable[..., Mapper]) -> None:
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
