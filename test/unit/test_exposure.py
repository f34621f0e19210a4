"""Exposure: gains that make one surface one color in all pictures, where they enter a rendering, and a map's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from conftest import PlaneScene
from mapper_fixtures import frame_at
from torch import Tensor

from sray.exposure import LEAST_CELLS, Comparison, Shot, color_gains, compared, exposure_around, solved
from sray.field import RenderedView, SemanticField
from sray.frames import Frame, SourceViews
from sray.label_space import VOID, LabelSpace
from sray.mapping import keyframe_exposure
from sray.mapping.cloud import cloud_of_view
from sray.mapping.keyframe_exposure import ExposureKeeper, ExposureState
from sray.mapping.keyframes import KeyframeBuffer, KeyframeConfig
from sray.mapping.mapper import Mapper
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.metrics import exposure_matched
from sray.model import SemanticRay, SemanticRayConfig
from sray.render_config import RenderConfig

SCENE = PlaneScene(width=96, height=72)
UNKNOWN = torch.full((3, 3), torch.nan)


def exposed(frame: Frame, gain: Tensor) -> Frame:
    """The frame as another exposure would show it."""
    return replace(frame, image=(frame.image.float() * gain).round().clamp(0, 255).to(torch.uint8))


def shots_of(*frames: Frame) -> list[Shot]:
    views = SourceViews.from_frames(frames)
    return [Shot(views.images[each], views.camera[each], views.depth[each]) for each in range(views.count)]


def field(match_exposure: bool = True) -> SemanticField:
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(SCENE.classes)).eval()
    return SemanticField(model, replace(RenderConfig.preset("balanced"), match_exposure=match_exposure))


def test_gains_undo_the_exposures_that_the_pictures_were_taken_with() -> None:
    """Per channel; only their ratios can be known, so their geometric mean is 1."""
    exposures = torch.tensor([[1.0, 1.0, 1.0], [0.6, 0.7, 0.8], [0.9, 0.75, 0.6], [0.5, 0.5, 0.5]])
    frames = [exposed(frame, gain) for frame, gain in zip(SCENE.ring(4), exposures, strict=True)]
    gains = color_gains(SourceViews.from_frames(frames))
    product = gains * exposures
    torch.testing.assert_close(product, product.log().mean(0).exp().expand(4, 3), rtol=0.03, atol=0)
    torch.testing.assert_close(gains.log().mean(0), torch.zeros(3), atol=1e-4, rtol=0)


def test_pictures_whose_depth_is_not_known_or_not_trusted_have_no_gains() -> None:
    views = SourceViews.from_frames(SCENE.ring(3))
    assert color_gains(replace(views, depth=None)) is None
    assert color_gains(replace(views, depth_confidence=torch.full_like(views.depth, 0.2))) is None


def test_a_picture_whose_view_of_the_surface_is_blocked_is_not_compared() -> None:
    """Something stands before the other camera: its pixels are another thing, or nobody knows what they are."""
    one, other = shots_of(*SCENE.ring(2))
    assert compared(one, other).cells > 10 * LEAST_CELLS
    assert compared(one, replace(other, depth=other.depth / 2)) is None
    assert compared(one, replace(other, depth=torch.full_like(other.depth, torch.nan))) is None


def test_colors_that_the_sensor_could_not_tell_apart_are_not_compared() -> None:
    one, other = shots_of(*SCENE.ring(2))
    assert compared(replace(one, image=torch.ones_like(one.image)), other) is None
    assert compared(one, replace(other, image=torch.zeros_like(other.image))) is None


def test_a_pair_that_contradicts_the_others_is_outvoted() -> None:
    """By least squares without weights the third picture would be 0.25 off."""
    ratio = torch.full((3,), 0.3)
    right = [(0, 1, Comparison(ratio, 200)), (1, 2, Comparison(ratio, 200)), (0, 2, Comparison(2 * ratio, 200))]
    wrong = (0, 2, Comparison(-2 * ratio, 200))
    expected = torch.tensor([-0.3, 0.0, 0.3])
    torch.testing.assert_close(solved(right, UNKNOWN)[:, 0], expected, atol=2e-3, rtol=0)
    doubled = [*right, *right, wrong]
    torch.testing.assert_close(solved(doubled, UNKNOWN)[:, 0], expected, atol=0.02, rtol=0)


def test_a_keyframe_of_a_large_map_is_solved_with_those_around_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gains of all keyframes at once would take the square of their number in memory, at every keyframe."""
    buffer, keeper, sizes = KeyframeBuffer(KeyframeConfig(capacity=1000)), ExposureKeeper(), []
    for place in range(400):
        buffer.add(frame_at(100.0 + place, 2.0, (SCENE.width, SCENE.height)), torch.zeros(1, 1, 1))
    pairs = torch.stack([torch.arange(399), torch.arange(1, 400)], 1)
    ratios, cells = torch.full((399, 3), 0.01), torch.full((399,), 500)
    gains = torch.linspace(-1, 1, 400)[:, None].expand(400, 3)
    keeper.recall(buffer, ExposureState(gains.numpy(), pairs.numpy(), ratios.numpy(), cells.numpy()))
    monkeypatch.setattr(
        keyframe_exposure, "solved", lambda pairs, known: sizes.append(len(known)) or solved(pairs, known)
    )
    for frame in SCENE.ring(2):
        buffer.add(frame, torch.zeros(1, 1, 1))
        keeper.entered(buffer)
    assert sizes and max(sizes) < 3 * keyframe_exposure.SOLVED
    torch.testing.assert_close(keeper.gains([buffer[300]]).log()[0], gains[300])


def test_known_gains_stay_and_pictures_without_a_pair_have_gain_1() -> None:
    known = UNKNOWN.clone()
    known[0] = torch.tensor([0.1, 0.2, 0.3])
    found = solved([(0, 1, Comparison(torch.full((3,), 0.5), 500))], known)
    torch.testing.assert_close(found[0], known[0])
    torch.testing.assert_close(found[1], known[0] + 0.5, atol=2e-3, rtol=0)
    assert (found[2] == 0).all()
    assert (solved([], UNKNOWN) == 0).all()


def test_gains_are_of_the_colors_that_rays_read_and_not_of_what_the_encoder_reads() -> None:
    """As pictures of that exposure would be rendered, with the features of those that were taken."""
    views = SourceViews.from_frames(SCENE.ring(3))
    gains = torch.tensor([[0.5, 0.6, 0.7], [0.8, 0.4, 0.3], [0.9, 0.9, 0.2]])
    brought = replace(views, images=views.images * gains[..., None, None])
    camera = SCENE.camera((0.0, 0.0, 0.0)).resized(24, 18)
    plain = field(match_exposure=False)
    features = plain.model.picture_features(views.images, views.camera)

    def rendered(shown: SemanticField, views: SourceViews, features: Tensor | None = None) -> RenderedView:
        shown.set_sources(views, features)
        return shown.render(camera)

    found, expected = rendered(field(), replace(views, gains=gains)), rendered(plain, brought, features)
    assert (expected.exposure == 1).all() and not (found.exposure == 1).any()
    torch.testing.assert_close(found.color, (expected.color * found.exposure).clamp(0, 1))
    assert torch.equal(found.opacity, expected.opacity)
    assert torch.equal(found.labels, expected.labels)
    unmatched = rendered(plain, replace(views, gains=gains))
    assert torch.equal(unmatched.color, rendered(plain, views).color)
    assert not torch.equal(unmatched.color, found.color)


def test_a_view_has_the_exposure_of_the_views_around_and_its_cloud_that_of_all() -> None:
    """By hand: where a source stands, that source's; halfway between two, their mean; far from all, the mean of all."""
    places = [(-0.5, 0.0, 0.0), (0.5, 0.0, 0.0)]
    views = SourceViews.from_frames([SCENE.frame(place) for place in places])
    gains = torch.tensor([[0.5, 0.5, 0.8], [2.0, 1.0, 0.8]])

    def around(*place: float) -> Tensor:
        return exposure_around(SCENE.camera(place), views.camera, gains)

    torch.testing.assert_close(around(-0.5, 0, 0), 1 / gains[0], atol=0.02, rtol=0)
    torch.testing.assert_close(around(0.5, 0, 0), 1 / gains[1], atol=0.02, rtol=0)
    middle = torch.tensor([1.0, 2**0.5, 1.25])
    torch.testing.assert_close(around(0, 0, 0), middle)
    torch.testing.assert_close(around(0, 9, 0), middle)
    small = SCENE.camera(places[0]).resized(24, 18)
    shown = field()
    shown.set_sources(replace(views, gains=gains))
    view = shown.render(small)
    assert torch.equal(view.exposure, around(*places[0]))
    cloud = cloud_of_view(view)
    kept = (view.labels != VOID) & view.depth.isfinite()
    expected = view.common_color[kept].clamp(0, 1) * 255
    torch.testing.assert_close(view.color, (view.common_color * view.exposure).clamp(0, 1))
    torch.testing.assert_close(torch.from_numpy(cloud.rgb).float(), expected, atol=0.51, rtol=0)
    assert len(cloud) > 20


def test_the_keyframes_of_a_map_have_one_exposure() -> None:
    """As they enter, after one has left, and when matching is switched on later."""
    exposures = (1.0, 0.5, 0.8, 0.65)
    frames = [
        replace(exposed(SCENE.frame((0.15 * place, 0.0, 0.0)), torch.tensor(gain)), stamp_ns=place)
        for place, gain in enumerate(exposures)
    ]
    config = MapperConfig(keyframes=KeyframeConfig(min_translation=0.1, min_sharpness=0.0), stereo=False)

    def same(mapper: Mapper, exposures: tuple[float, ...]) -> None:
        assert len(mapper.keyframes) == len(exposures)
        gains = mapper.exposure.gains(list(mapper.keyframes))
        product = gains * torch.tensor(exposures)[:, None]
        torch.testing.assert_close(product, product.log().mean(0).exp().expand_as(product), rtol=0.03, atol=0)

    mapper = Mapper(field(), SCENE.classes, config)
    for frame in frames:
        mapper.add(frame)
    same(mapper, exposures)
    mapper.configure(replace(config, keyframes=replace(config.keyframes, capacity=3)))
    mapper.add(replace(exposed(SCENE.frame((0.6, 0.0, 0.0)), torch.tensor(0.7)), stamp_ns=4))
    same(mapper, tuple((*exposures, 0.7)[each.number] for each in mapper.keyframes))

    late = Mapper(field(match_exposure=False), SCENE.classes, config)
    for frame in frames:
        late.add(frame)
    assert (late.exposure.gains(list(late.keyframes)) == 1).all()
    late.configure(config, field())
    same(late, exposures)


def test_an_exposure_of_its_own_is_fitted_per_channel() -> None:
    truth = torch.rand(5, 7, 3, generator=torch.Generator().manual_seed(0)) * 0.8
    found = exposure_matched(truth * torch.tensor([0.5, 1.0, 0.9]), truth)
    torch.testing.assert_close(found.float(), truth)
    assert (exposure_matched(torch.zeros(5, 7, 3), truth) == 0).all()
    # By hand: (0.2 * 0.4 + 0.4 * 0.4) / (0.2 * 0.2 + 0.4 * 0.4) = 1.2.
    image, other = torch.tensor([0.2, 0.4]), torch.tensor([0.4, 0.4])
    fitted = exposure_matched(image[:, None].expand(2, 3), other[:, None].expand(2, 3))
    assert fitted[:, 0].tolist() == pytest.approx([0.24, 0.48])


def test_a_session_that_was_mapped_without_matching_is_matched_when_it_is_loaded() -> None:
    exposures = (1.0, 0.5, 0.8, 0.65)
    config = MapperConfig(keyframes=KeyframeConfig(min_translation=0.1, min_sharpness=0.0), stereo=False)
    space = LabelSpace("three", ("wall", "floor", "bed"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 4))

    def mapped(match_exposure: bool) -> Mapper:
        mapper = Mapper(field(match_exposure), SCENE.classes, config)
        for place, gain in enumerate(exposures):
            frame = exposed(SCENE.frame((0.15 * place, 0.0, 0.0)), torch.tensor(gain))
            mapper.add(replace(frame, stamp_ns=place))
        return mapper

    expected = mapped(True)
    for was_matched in (False, True):
        loaded = Mapper(field(), SCENE.classes, config)
        Session.of(mapped(was_matched), "any", space).restore(loaded, space)
        found, wanted = (each.exposure.gains(list(each.keyframes)) for each in (loaded, expected))
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0)


def test_what_is_too_bright_for_the_view_keeps_its_color_in_the_cloud() -> None:
    """The view is cut off at white; that darkens no cloud, and what is white at the common exposure darkens no view."""
    view = RenderedView.blank(SCENE.camera((0.0, 0.0, 0.0)).resized(2, 1))
    view.common_color[:] = torch.tensor([[0.8, 0.5, 0.2], [1.8, 0.5, 0.2]])
    view.depth[:], view.confidence[:] = 1.0, 1.0
    bright = replace(view, exposure=torch.full((3,), 2.0))
    torch.testing.assert_close(bright.color[0, 0], torch.tensor([1.0, 1.0, 0.4]))
    torch.testing.assert_close(
        replace(view, exposure=torch.full((3,), 0.5)).color[0, 1], torch.tensor([0.9, 0.25, 0.1])
    )
    assert cloud_of_view(bright).rgb.tolist() == [[204, 128, 51], [255, 128, 51]]
