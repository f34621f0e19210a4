"""The new math of the comparison systems against their twins, and what each system promises of its parts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from reference import plane_sweep as sweep_twin
from reference import visibility as visibility_twin

from sray.camera import Camera
from sray.errors import ModelError, SrayError
from sray.frames import SourceViews
from sray.model import SemanticRay, SemanticRayConfig
from sray.ray_engine import describe_engine
from sray.ray_model import RayModel
from sray.rays import SampleCounts
from sray.render_config import RenderConfig
from sray_train.learn.systems import SYSTEMS
from sray_train.paper.baselines.mvsnerf import MVSNeRF, MVSNeRFOptions
from sray_train.paper.baselines.neuray import NeuRay, NeuRayOptions
from sray_train.paper.baselines.picture_encoder import cell_features
from sray_train.paper.baselines.plane_sweep import central_view, matched, matched_maps
from sray_train.paper.baselines.visibility import INTERVAL, REACH, HitDecoder, HitDistribution

BOUNDS = (1.0, 4.0)
EACH: dict[str, tuple[type[RayModel], Any]] = {name: (kind, kind.options_type()) for name, kind in SYSTEMS.items()} | {
    "neuray from depth": (NeuRay, NeuRayOptions(visibility="depth")),
    "neuray with attention": (NeuRay, NeuRayOptions(attention="full")),
    "neuray with stereo": (NeuRay, NeuRayOptions(visibility="depth", stereo=True)),
    "mvsnerf with the views' features": (MVSNeRF, MVSNeRFOptions(semantics_from="views")),
    "neuray reading at 60 px": (NeuRay, NeuRayOptions(reading_focal=60.0)),
    "mvsnerf reading at 60 px": (MVSNeRF, MVSNeRFOptions(semantics_from="views", reading_focal=60.0)),
}


def system_of(name: str, seed: int = 0) -> RayModel:
    torch.manual_seed(seed)
    kind, options = EACH[name]
    return kind.from_options(options, 3).eval()


@pytest.fixture
def views(plane_scene: PlaneScene) -> SourceViews:
    return SourceViews.from_frames(plane_scene.ring(4))


def double(camera: Camera) -> Camera:
    return dataclasses.replace(
        camera, intrinsics=camera.intrinsics.double(), world_from_camera=camera.world_from_camera.double()
    )


def test_a_plane_sweep_is_its_twin(plane_scene: PlaneScene) -> None:
    cameras = double(Camera.stack([frame.camera for frame in plane_scene.ring(3)]))
    maps = torch.randn(3, 2, 9, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    depths = torch.tensor([0.4, 1.5, 6.0], dtype=torch.float64)
    found = matched(maps, cameras, 1, [0, 2], depths)
    each = [
        (cameras[i].intrinsics.numpy(), cameras[i].world_from_camera.numpy(), cameras.width, cameras.height)
        for i in range(3)
    ]
    variance, mean, expected_count = sweep_twin.matched(maps.numpy(), each, 1, [0, 2], depths.tolist())
    assert {1, 2, 3} <= set(np.unique(expected_count)), "some voxels are out of sight of others"
    np.testing.assert_array_equal(found.count.numpy(), expected_count)
    # Poses were made in single precision: their rotations' inverse is the transposed one only so far.
    np.testing.assert_allclose(found.variance.numpy(), variance, atol=2e-6, rtol=0)
    np.testing.assert_allclose(found.mean.numpy(), mean, atol=2e-6, rtol=0)


def test_views_match_best_at_the_plane_of_the_wall(plane_scene: PlaneScene, views: SourceViews) -> None:
    """Of colors alone: the features of a network that has learned nothing say nothing."""
    model = system_of("mvsnerf")
    with torch.no_grad():
        maps = matched_maps(model.encode(views, bounds=BOUNDS))[:, -3:]
    depths = torch.tensor([1.0, 1.4, plane_scene.wall_z, 2.8, 4.0])
    found = matched(maps, views.camera, 0, [1, 2, 3], depths)
    cost = torch.where(found.count == 4, found.variance.mean(0), torch.nan)
    assert int(cost.flatten(1).nanmean(-1).argmin()) == 2


def test_cell_colors_are_those_around_pixel_4_i(views: SourceViews) -> None:
    model = system_of("mvsnerf")
    with torch.no_grad():
        maps = matched_maps(model.encode(views, bounds=BOUNDS))
    assert maps.shape[-2:] == (9, 12)
    expected = views.images[1, :, 4 * 3 - 2 : 4 * 3 + 3, 4 * 5 - 2 : 4 * 5 + 3].mean((-1, -2))
    torch.testing.assert_close(maps[1, -3:, 3, 5], expected)
    torch.testing.assert_close(maps[1, -3:, 0, 0], views.images[1, :, :3, :3].mean((-1, -2)), msg="no border mixed in")


def test_the_reference_is_the_view_in_the_middle(plane_scene: PlaneScene) -> None:
    places = [(-0.4, 0.0, 0.0), (0.5, 0.0, 0.0), (0.1, 0.0, 0.0), (0.2, 0.0, 0.0), (0.3, 0.0, 0.0)]
    assert central_view(Camera.stack([plane_scene.camera(place) for place in places])) == 3
    assert central_view(Camera.stack([plane_scene.camera((0.0, 0.0, 0.0))])) == 0


def test_a_volume_tells_a_picture_from_its_negative(views: SourceViews) -> None:
    """Negatives agree as well as pictures do: the variance alone would make the same volume of both."""
    model = system_of("mvsnerf")
    with torch.no_grad():
        features = model.picture_features(views.images, views.camera)
        volume = model.encode(views, features, BOUNDS).volume
        negative = model.encode(dataclasses.replace(views, images=1 - views.images), -features, BOUNDS).volume
    assert (volume - negative).abs().mean() > 0.2 * volume.std()


def test_cells_of_features_lie_on_the_picture_whatever_the_size_it_was_read_at(views: SourceViews) -> None:
    model = system_of("neuray reading at 60 px")
    with torch.no_grad():
        encoded = model.encode(views, bounds=BOUNDS)
    assert encoded.features.shape[-2:] != (9, 12) == cell_features(encoded).shape[-2:]
    width, height = (scale * size for scale, size in zip(encoded.reading_scale, (48, 36), strict=True))
    ramp = torch.arange(encoded.features.shape[-1]) * 4.0  # the column, in the picture as it was read
    ramps = dataclasses.replace(encoded, features=ramp.expand_as(encoded.features))
    expected = (4.0 * torch.arange(12) + 0.5) * width / 48 - 0.5  # of cell i, at pixel 4 i
    torch.testing.assert_close(cell_features(ramps)[1, 2, 3], expected.clamp(0, float(ramp[-1])), atol=1e-4, rtol=0)
    assert height > 36


def test_visibility_is_its_twin_and_falls_behind_the_surface() -> None:
    generator = torch.Generator().manual_seed(0)
    location = torch.rand(7, 2, generator=generator, dtype=torch.float64)
    scale = 0.01 + 0.1 * torch.rand(7, 2, generator=generator, dtype=torch.float64)
    share = torch.rand(7, 2, generator=generator, dtype=torch.float64)
    share = share / share.sum(-1, keepdim=True)
    coordinates = torch.rand(7, generator=generator, dtype=torch.float64)
    visible, hit = HitDistribution(location, scale, share).visibility_and_hit(coordinates)
    for k in range(7):
        mixture = list(zip(location[k].tolist(), scale[k].tolist(), share[k].tolist(), strict=True))
        expected = visibility_twin.visibility_and_hit(float(coordinates[k]), mixture, INTERVAL)
        assert (float(visible[k]), float(hit[k])) == pytest.approx(expected, abs=1e-12)
    surface = HitDistribution(torch.tensor([0.5, 0.5]), torch.tensor([0.01, 0.01]), torch.tensor([0.4, 0.6]))
    along = [surface.visibility_and_hit(torch.tensor(place)) for place in (0.3, 0.5, 0.7)]
    assert [round(float(visible), 1) for visible, _ in along] == [1.0, 0.8, 0.0]
    assert along[1][1] > 0.5 > along[0][1]


def test_a_new_decoder_takes_the_surface_where_the_estimate_is() -> None:
    torch.manual_seed(0)
    hits = HitDecoder(8)(torch.randn(5, 8), torch.linspace(0.1, 0.9, 5))
    torch.testing.assert_close((hits.location * hits.share).sum(-1), torch.linspace(0.1, 0.9, 5))
    assert (hits.hit_before(torch.linspace(0.1, 0.9, 5) - 0.3) < 0.02).all()


def test_no_weights_drive_the_surface_away_from_the_estimate() -> None:
    """Beyond what is seen nothing would be hit, and no gradient would lead back."""
    torch.manual_seed(0)
    decoder, estimate = HitDecoder(8), torch.linspace(0.1, 0.9, 5)
    last = decoder.mlp[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.normal_(0, 100)
    location = decoder(torch.randn(5, 8), estimate).location
    assert ((location - estimate[:, None]).abs() < REACH + 0.02).all()


@pytest.mark.parametrize("name", ["neuray", "neuray from depth"])
def test_neuray_trusts_a_view_in_front_of_the_wall_and_not_behind_it(
    name: str, plane_scene: PlaneScene, views: SourceViews
) -> None:
    """From depth at once; from matches after colors alone are matched, as the features have learned nothing."""
    model = system_of(name)
    if name == "neuray":
        with torch.no_grad():
            model.match.weight.zero_()[:, -3:] = -8 / 3
    bounds = (1.0, 8.0)  # the wall is not in the middle, where one who knows nothing would put it
    target = plane_scene.camera((0.0, 0.0, 0.0))
    depth = torch.tensor([1.2, 1.5, 2.6, 3.6])
    pixels = torch.tensor([[22.0, 17.0], [28.0, 20.0], [0.0, 0.0]])
    points = target.center + depth[None, :, None] * target.ray_directions(pixels)[:, None]
    with torch.no_grad():
        encoded = model.encode(views, bounds=bounds)
        evidence = model.observe(encoded, target.center, points)
    trust = torch.where(evidence.context.valid, evidence.trust, torch.nan)[:, :2].nanmean((0, 1))
    assert trust[:2].min() > 2 * trust[2:].max()
    assert (evidence.trust[~evidence.context.valid] == 0).all() and not evidence.context.valid.all()


def test_with_stereo_neuray_does_without_depth_and_trusts_views_less_where_it_is_unsure(views: SourceViews) -> None:
    model = system_of("neuray with stereo")
    assert model.reads_depth and not system_of("neuray from depth").reads_depth
    with torch.no_grad():
        blind = model.encode(dataclasses.replace(views, depth=None), bounds=BOUNDS).visibility
        unsure = model.encode(dataclasses.replace(views, depth_confidence=0.25 * torch.ones_like(views.depth)))
    assert (blind[:, -2] == 1).all() and (blind[:, -1] == 0).all(), "far, and not sure"
    assert (unsure.visibility[:, -1] == 0.25).all()
    with pytest.raises(ValueError, match="visibility is 'cost_volume' beside stereo"):
        NeuRayOptions(stereo=True)


def test_neurays_attention_starts_as_what_neuray_is_and_then_changes_its_labels_alone(views: SourceViews) -> None:
    plain, model = system_of("neuray"), system_of("neuray with attention")
    weights = model.state_dict() | plain.state_dict()
    model.load_state_dict(weights)
    target = PlaneScene().camera((0.02, 0.03, 0.0))
    rays = model.rays(target, target.pixel_grid()[::97], BOUNDS)
    with torch.no_grad():
        one, two = (each.infer(each.encode(views, bounds=BOUNDS), rays, SampleCounts(8, 8)) for each in (plain, model))
        torch.testing.assert_close(two.logits, one.logits)
        for attention in model.fine.attention.steps.values():
            torch.nn.init.normal_(attention.output.weight)
        three = model.infer(model.encode(views, bounds=BOUNDS), rays, SampleCounts(8, 8))
    assert (three.logits - one.logits).abs().max() > 0.1
    torch.testing.assert_close(three.weights, one.weights)


def test_neuray_from_depth_refuses_views_without_it(views: SourceViews) -> None:
    with pytest.raises(SrayError, match="--depth") as caught:
        system_of("neuray from depth").encode(dataclasses.replace(views, depth=None))
    assert isinstance(caught.value, ModelError)


@pytest.mark.parametrize("name", EACH)
def test_a_system_reads_kept_features_as_its_own_and_views_in_any_order(name: str, views: SourceViews) -> None:
    """Of three views, one is in the middle: MVSNeRF takes the same one for its reference."""
    views = views[[0, 1, 2]]
    model, target = system_of(name, seed=1), PlaneScene().camera((0.02, 0.03, 0.0))
    pixels = target.pixel_grid()[::97]
    with torch.no_grad():
        kept = torch.cat([model.picture_features(image.unsqueeze(0), views.camera) for image in views.images])
        shuffled = views[[2, 0, 1]]
        one, *others = (
            model.infer(encoded, model.rays(target, pixels, BOUNDS), SampleCounts(8, 8))
            for encoded in (
                model.encode(views, bounds=BOUNDS),
                model.encode(views, kept, BOUNDS),
                model.encode(shuffled, bounds=BOUNDS),
            )
        )
    assert float(one.opacity.min()) > 0.1
    for other in others:
        torch.testing.assert_close(other.logits, one.logits, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(other.color, one.color, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", [name for name, (kind, _) in EACH.items() if kind.generalizes])
def test_where_no_view_looks_nothing_is(name: str, views: SourceViews) -> None:
    model, away = system_of(name), PlaneScene().camera((0.0, 0.0, 0.0), yaw_degrees=180.0)
    with torch.no_grad():
        rays = model.infer(
            model.encode(views, bounds=BOUNDS), model.rays(away, away.pixel_grid()[::97], BOUNDS), SampleCounts(8, 8)
        )
    assert (rays.opacity == 0).all() and (rays.coverage == 0).all() and (rays.logits == 0).all()
    assert rays.color.isfinite().all()


@pytest.mark.parametrize("name", EACH)
def test_one_source_alone_gives_finite_results_and_gradients(name: str, views: SourceViews) -> None:
    model, target = system_of(name), PlaneScene().camera((0.02, 0.03, 0.0))
    outputs = model(
        model.encode(views[[0]], bounds=BOUNDS),
        model.rays(target, target.pixel_grid()[::97], BOUNDS),
        SampleCounts(8, 8),
    )
    sum(each.logits.sum() + each.color.sum() + each.depth.sum() for each in outputs).backward()
    assert all(output.logits.isfinite().all() and output.color.isfinite().all() for output in outputs)
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("name", EACH)
def test_every_parameter_learns(name: str, views: SourceViews) -> None:
    """Nothing is carried along that no loss reaches."""
    model, target = system_of(name).train(), PlaneScene().camera((0.02, 0.03, 0.0))
    for parameter in model.parameters():  # layers that start at zero let nothing through to what is before them
        torch.nn.init.normal_(parameter, std=0.2)
    outputs = model(
        model.encode(views, bounds=BOUNDS), model.rays(target, target.pixel_grid()[::17], BOUNDS), SampleCounts(8, 8)
    )
    sum(each.logits.square().sum() + each.color.sum() + each.depth.sum() for each in outputs).backward()
    stereo = "stereo."  # has a stage of its own
    idle = [name for name, each in model.named_parameters() if each.grad is None and not name.startswith(stereo)]
    assert idle == []


def test_the_kernel_is_semantic_rays_alone() -> None:
    for name in EACH:
        said = describe_engine(system_of(name), RenderConfig())
        assert ("plain PyTorch" in said) or name == "semantic_ray"
    assert "the kernel is semantic_ray, the model neuray" in describe_engine(system_of("neuray"), RenderConfig())
    assert isinstance(system_of("semantic_ray"), SemanticRay) and SemanticRayConfig(3).classes == 3
