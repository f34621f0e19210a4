"""SemanticField: set sources once, render many times; what is not seen is void."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from field_fixtures import make_field

from sray.errors import CanceledError, NoViewsError, SrayError
from sray.field import SemanticField
from sray.frames import SourceViews
from sray.kernel import NoKernel
from sray.kernel.build import library
from sray.label_space import VOID
from sray.model import SemanticRay, SemanticRayConfig
from sray.sampling import ROOM_BOUNDS

COARSER = {"coarse_stride": 4, "wide_samples": 9}
HALF = {**COARSER, "label_stride": 2}


@pytest.fixture
def views(plane_scene) -> SourceViews:
    return SourceViews.from_frames(plane_scene.ring(4))


@pytest.fixture
def field(views: SourceViews) -> SemanticField:
    field = make_field()
    field.set_sources(views)
    return field


def test_a_render_has_the_cameras_size_and_sane_values(field: SemanticField, plane_scene) -> None:
    view = field.render(plane_scene.camera((0, 0, 0)))
    shape = (plane_scene.height, plane_scene.width)
    for name in ("labels", "confidence", "depth", "opacity", "coverage"):
        assert getattr(view, name).shape == shape, name
    assert view.color.shape == (*shape, 3)
    assert ((view.color >= 0) & (view.color <= 1)).all()
    seen = view.labels != VOID
    assert seen.float().mean() > 0.9
    assert (view.labels[seen] < 5).all()
    assert (view.confidence[seen] >= 1 / 5 - 1e-6).all(), "the best of 5 classes"
    assert ((view.depth >= ROOM_BOUNDS[0]) & (view.depth <= ROOM_BOUNDS[1]))[seen].all()
    assert (view.coverage <= 4).all()


@pytest.mark.parametrize("engine", ["auto", "plain"])
@pytest.mark.parametrize("strides", [{}, COARSER, HALF], ids=["each", "coarser", "half"])
@pytest.mark.parametrize("depth", [True, False])
def test_tiles_and_chunks_do_not_change_the_picture(
    views: SourceViews, plane_scene, engine: str, strides: dict[str, float], depth: bool
) -> None:
    """Sizes that no tile, stride or chunk divides."""
    camera = plane_scene.camera((0, 0, 0), yaw_degrees=20).resized(31, 23)
    pictures = []
    for tile, rays in ((64, 1000), (16, 15)):
        field = make_field(chunk_rays=rays, tile=tile, engine=engine, **strides)
        field.set_sources(views if depth else replace(views, depth=None))
        pictures.append(field.render(camera))
    whole, parts = pictures
    # Matrix products of other sizes round otherwise; fine samples fall where guides, so rounded, say.
    for name in ("confidence", "color", "depth", "opacity"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), atol=2e-4, rtol=2e-4, equal_nan=True)
    assert (whole.labels != parts.labels).float().mean() < 0.01, "but for ties"
    assert (whole.coverage != parts.coverage).float().mean() < 0.01


@pytest.mark.skipif(isinstance(library(), NoKernel), reason=f"no compiled kernel: {library()}")
def test_compiled_or_plain_is_the_same_picture(views: SourceViews, plane_scene) -> None:
    camera = plane_scene.camera((0, 0, 0), yaw_degrees=20)
    pictures = []
    for engine in ("auto", "plain"):
        field = make_field(engine=engine, **HALF)
        field.set_sources(replace(views, depth=None))
        pictures.append(field.render(camera))
    for name in ("confidence", "color", "depth", "opacity"):
        torch.testing.assert_close(
            *(getattr(picture, name) for picture in pictures), atol=1e-3, rtol=1e-3, equal_nan=True
        )


@pytest.mark.parametrize("shape", [(3, 32, 9, 12), (4, 16, 9, 12)])
def test_features_of_other_views_are_refused(field: SemanticField, views: SourceViews, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one for each view"):
        field.set_sources(views, torch.zeros(shape))


def test_new_weights_count_from_the_next_sources_on(views: SourceViews, plane_scene) -> None:
    """Whoever tunes the model in place sets the sources again."""
    field, camera = make_field(), plane_scene.camera((0, 0, 0)).resized(16, 12)
    field.set_sources(views)
    before = field.render(camera)
    with torch.no_grad():
        field.model.fine.classifier.bias.copy_(torch.tensor([0.0, 0, 0, 0, 50]))
    field.set_sources(views)
    assert not torch.equal(field.render(camera).labels, before.labels)
    assert (field.render(camera).labels[before.labels != VOID] == 4).all()


def test_rendering_twice_gives_the_same(field: SemanticField, plane_scene) -> None:
    camera = plane_scene.camera((0.1, 0, 0)).resized(24, 18)
    first, second = field.render(camera), field.render(camera)
    assert torch.equal(first.color, second.color)
    assert torch.equal(first.labels, second.labels)


def test_a_camera_turned_away_sees_only_void(field: SemanticField, plane_scene) -> None:
    view = field.render(plane_scene.camera((0, 0, 0), yaw_degrees=180))
    assert (view.labels == VOID).all()
    assert (view.confidence == 0).all()
    assert view.depth.isnan().all()
    assert (view.opacity == 0).all()
    assert (view.coverage == 0).all()
    assert (view.color == 0).all()


@pytest.mark.parametrize("strides", [{}, HALF], ids=["each", "half"])
def test_half_in_view_is_half_void(views: SourceViews, plane_scene, strides: dict[str, float]) -> None:
    """Turned 60 degrees to the right, the left of the picture still shows what the sources saw."""
    field = make_field(**strides)
    field.set_sources(replace(views, depth=None))
    view = field.render(plane_scene.camera((0, 0, 0), yaw_degrees=60))
    assert (view.labels[:, -5:] == VOID).all()
    assert (view.labels[:, :5] != VOID).any()
    assert torch.equal(view.depth.isnan(), view.labels == VOID)
    assert torch.equal(view.confidence == 0, view.labels == VOID)
    assert view.depth[view.labels != VOID].min() >= ROOM_BOUNDS[0]


@pytest.mark.parametrize("limits", [{"min_opacity": 1.1}, {"min_coverage": 4.5}, {"min_confidence": 1.1}])
def test_each_limit_makes_void(views: SourceViews, plane_scene, limits: dict[str, float]) -> None:
    """Each limit alone, set beyond reach, voids a picture that is otherwise seen."""
    field = make_field(**limits)
    field.set_sources(views)
    view = field.render(plane_scene.camera((0, 0, 0)).resized(16, 12))
    assert (view.labels == VOID).all()
    assert view.opacity.max() > 0.3, "opacity itself is reported as it is"


@pytest.mark.parametrize(("scale", "size"), [(0.5, (24, 18)), (1.0, (48, 36)), (1.5, (72, 54)), (0.001, (1, 1))])
def test_scale(field: SemanticField, plane_scene, scale: float, size: tuple[int, int]) -> None:
    camera = plane_scene.camera((0, 0, 0))
    view = field.render(camera, scale=scale)
    assert (view.camera.width, view.camera.height) == size
    assert view.labels.shape == (size[1], size[0])
    torch.testing.assert_close(view.camera.intrinsics, camera.resized(*size).intrinsics)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan])
def test_an_impossible_scale_is_refused(field: SemanticField, plane_scene, scale: float) -> None:
    with pytest.raises(ValueError, match="scale is"):
        field.render(plane_scene.camera((0, 0, 0)), scale=scale)


def test_rendering_before_sources_names_the_missing_call(plane_scene, views: SourceViews) -> None:
    field = make_field()
    with pytest.raises(SrayError, match="set_sources") as caught:
        field.render(plane_scene.camera((0, 0, 0)))
    assert isinstance(caught.value, NoViewsError)
    field.set_sources(views)
    assert field.render(plane_scene.camera((0, 0, 0)), scale=0.2).labels.numel()


def test_progress_rises_to_one(views: SourceViews, plane_scene) -> None:
    field, heard = make_field(tile=24, engine="plain"), []  # tiles of 12
    field.set_sources(views)
    field.render(plane_scene.camera((0, 0, 0)).resized(24, 18), on_progress=heard.append)
    assert heard == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_canceling_stops_between_tiles_and_the_field_still_works(views: SourceViews, plane_scene) -> None:
    field, heard = make_field(tile=24, engine="plain"), []  # tiles of 12
    field.set_sources(views)
    camera = plane_scene.camera((0, 0, 0)).resized(24, 18)
    with pytest.raises(SrayError, match="canceled at 2 of 4 tiles") as caught:
        field.render(camera, on_progress=heard.append, canceled=lambda: len(heard) == 2)
    assert isinstance(caught.value, CanceledError)
    assert len(heard) == 2
    assert field.render(camera, canceled=lambda: False).labels.shape == (18, 24)


def test_kept_features_are_as_good_as_new(views: SourceViews, plane_scene) -> None:
    frames = plane_scene.ring(4)
    field, camera = make_field(), plane_scene.camera((0, 0, 0)).resized(24, 18)
    field.set_sources(views)
    computed = field.render(camera)
    field.set_sources(views, features=torch.stack([field.encode(frame.image, frame.camera) for frame in frames]))
    kept = field.render(camera)
    # One picture through the convolutions, or four: single precision, twenty layers.
    torch.testing.assert_close(kept.color, computed.color, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(kept.confidence, computed.confidence, atol=1e-3, rtol=1e-3)


def test_new_sources_replace_the_old(field: SemanticField, plane_scene) -> None:
    camera = plane_scene.camera((0, 0, 0)).resized(16, 12)
    before = field.render(camera)
    field.set_sources(SourceViews.from_frames([plane_scene.frame((9, 0, 0)), plane_scene.frame((9.1, 0, 0))]))
    assert (field.render(camera).labels == VOID).all()
    field.set_sources(SourceViews.from_frames(plane_scene.ring(4)))
    assert torch.equal(field.render(camera).color, before.color)


def test_bounds_limit_where_things_are(views: SourceViews, plane_scene) -> None:
    field = make_field()
    field.set_sources(views, bounds=(1.0, 1.5))
    depth = field.render(plane_scene.camera((0, 0, 0)).resized(16, 12)).depth
    seen = depth.isfinite()
    assert seen.any()
    assert ((depth[seen] >= 1.0) & (depth[seen] <= 1.5)).all()


def test_where_nothing_else_is_said_bounds_come_from_what_the_sources_are_sure_of(
    views: SourceViews, plane_scene
) -> None:
    """The wall is known on the left alone, and 2 m away; a doubtful reading of 7 m is left aside."""
    assert views.depth is not None
    depth, confidence = views.depth.clone(), torch.ones_like(views.depth)
    depth[..., 20:], confidence[..., 20:] = 7.0, 0.1
    camera = plane_scene.camera((0, 0, 0)).resized(16, 12)
    found = {}
    for name, sources in (
        ("depth", replace(views, depth=depth, depth_confidence=confidence)),
        ("none", replace(views, depth=None)),
    ):
        field = make_field()
        field.set_sources(sources)
        found[name] = field.render(camera).depth
    near, far = 0.8 * float(depth[..., :20].min()), 1.2 * float(depth[..., :20].max())
    seen = found["depth"].isfinite()
    assert seen.all() and ((found["depth"] >= near) & (found["depth"] <= far)).all()
    outside = (found["none"] < near) | (found["none"] > far)
    assert outside.any(), "what knows nothing looks everywhere"


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, math.inf), (math.nan, 2.0)])
def test_impossible_bounds_are_refused_and_the_old_sources_stay(
    field: SemanticField, views: SourceViews, plane_scene, bounds: tuple[float, float]
) -> None:
    with pytest.raises(ValueError, match="expected 0 < near < far"):
        field.set_sources(views, bounds=bounds)
    assert field.render(plane_scene.camera((0, 0, 0)), scale=0.2).labels.numel()


def test_the_field_evaluates_the_model_and_learns_nothing() -> None:
    model = SemanticRay(SemanticRayConfig(5)).train()
    assert not SemanticField(model).model.training
