"""Who sees what: against its twin, by known numbers, at edges; and what the model makes of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from reference import sight as twin
from torch import Tensor

from sray.camera import Camera, Projection
from sray.context import ContextBuilder
from sray.density import STATISTICS
from sray.frames import SourceViews
from sray.model import SemanticRay, SemanticRayConfig
from sray.rays import SampleCounts
from sray.sampling import uniform_samples
from sray.visibility import Surfaces, visible_views

BOUNDS = (0.5, 8.0)
SAMPLES = SampleCounts(12, 6)


def views_with(depth: Tensor, confidence: Tensor | None = None) -> SourceViews:
    views, height, width = depth.shape
    camera = Camera(torch.eye(3).repeat(views, 1, 1), torch.eye(4).repeat(views, 1, 1), width, height)
    return SourceViews(torch.zeros(views, 3, height, width), camera, depth, confidence)


def sight_at(views: SourceViews, pixels: Tensor, z: Tensor):
    """Of (views, rays, samples) places."""
    surfaces = Surfaces.of(views)
    assert surfaces is not None
    return surfaces.sight(Projection(pixels, z, torch.ones_like(z, dtype=torch.bool)))


@pytest.mark.parametrize(("views", "rays", "samples"), [(1, 1, 1), (3, 4, 5), (2, 0, 3)])
@pytest.mark.parametrize("with_confidence", [False, True])
def test_sight_is_its_twin(views: int, rays: int, samples: int, with_confidence: bool) -> None:
    generator = torch.Generator().manual_seed(views)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    depth = 1 + random(views, 7, 9)
    depth[:, :2], depth[:, 2, :3], depth[:, 3, :3] = math.nan, 0.0, -1.0
    confidence = random(views, 7, 9) if with_confidence else None
    if confidence is not None:
        confidence[:, 4, :4], confidence[:, 5, :4] = 0.0, math.nan
    pixels = torch.tensor([11.0, 9.0]) * random(views, rays, samples, 2) - 1
    z = 0.5 + 2 * random(views, rays, samples)
    found = sight_at(views_with(depth, confidence), pixels, z)
    assert found.visibility.shape == (views, rays, samples)
    for place in torch.cartesian_prod(*map(torch.arange, z.shape)).reshape(-1, 3).tolist():
        view, ray, sample = place
        surface = twin.surface_at(
            depth[view].tolist(),
            None if confidence is None else confidence[view].tolist(),
            *pixels[view, ray, sample].tolist(),
        )
        visibility, distance, hidden = twin.sight(float(z[view, ray, sample]), surface)
        # A few operations in double precision.
        assert float(found.visibility[view, ray, sample]) == pytest.approx(visibility, abs=1e-12)
        assert float(found.distance[view, ray, sample]) == pytest.approx(distance, abs=1e-12)
        assert bool(found.hidden[view, ray, sample]) == hidden


def test_by_known_numbers() -> None:
    """2 m away the tolerance is 6 cm: on the surface, one and three tolerances behind it, far before it."""
    z = torch.tensor([[[2.0, 2.06, 2.18, 1.0]]])
    found = sight_at(views_with(torch.full((1, 4, 4), 2.0)), torch.ones(1, 1, 4, 2), z)
    sure = 1 / (1 + math.exp(-4))
    assert found.visibility.flatten().tolist() == pytest.approx([sure, 0.5, 1 / (1 + math.exp(8)), 1.0], abs=1e-4)
    assert found.distance.flatten().tolist() == pytest.approx([0.0, 1 / 3, 1.0, -1.0], abs=1e-4)
    assert found.hidden.flatten().tolist() == [False, False, True, False]


def test_less_confidence_hides_less_and_none_says_nothing() -> None:
    """18 cm behind a surface at 2 m: hidden, unless the depth may be as wrong as that."""
    depth, z = torch.full((1, 4, 4), 2.0), torch.tensor([[[2.18]]])
    sure, doubtful, unknown = (
        sight_at(views_with(depth, torch.full((1, 4, 4), confidence)), torch.ones(1, 1, 1, 2), z)
        for confidence in (1.0, 0.5, 0.0)
    )
    assert [bool(each.hidden) for each in (sure, doubtful, unknown)] == [True, False, False]
    assert 0 < float(sure.visibility) < float(doubtful.visibility) < float(unknown.visibility) == 0.5
    assert float(unknown.distance) == 0


def test_an_edge_does_not_bleed() -> None:
    """1 m to the left of an edge, 3 m to its right: no pixel sees anything between."""
    depth = torch.full((1, 5, 8), 1.0)
    depth[..., 4:] = 3.0
    columns = torch.tensor([3.0, 3.4, 3.6, 4.0])
    pixels = torch.stack([columns, torch.full((4,), 2.0)], dim=-1).reshape(1, 1, 4, 2)
    far = sight_at(views_with(depth), pixels, torch.full((1, 1, 4), 3.0))
    assert far.hidden.flatten().tolist() == [True, True, False, False]
    assert far.distance.flatten().tolist() == [1.0, 1.0, 0.0, 0.0]
    near = sight_at(views_with(depth), pixels, torch.full((1, 1, 4), 1.0))
    assert not near.hidden.any() and near.distance.flatten().tolist() == [0.0, 0.0, -1.0, -1.0]


def test_views_without_any_depth_have_no_surfaces() -> None:
    assert Surfaces.of(replace(views_with(torch.ones(1, 2, 2)), depth=None)) is None


def test_hidden_views_do_not_count_unless_all_are() -> None:
    inside, hidden = (torch.rand(4, 20, 3, generator=torch.Generator().manual_seed(s)) > 0.5 for s in (0, 1))
    found = visible_views(inside, hidden)
    for ray in range(20):
        for sample in range(3):
            expected = twin.counting_views(inside[:, ray, sample].tolist(), hidden[:, ray, sample].tolist())
            assert found[:, ray, sample].tolist() == expected
    fallen_back = inside.any(0) & ~(inside & ~hidden).any(0)
    assert fallen_back.any(), "the test must hold samples that all views call hidden"


# --- in the model


def network(visibility: str, **more: object) -> SemanticRay:
    """Every part has a say: nothing at zero."""
    torch.manual_seed(0)
    model = SemanticRay(SemanticRayConfig(5, visibility=visibility, **more)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.3)
    return model


def behind_a_board(views: SourceViews, blind: list[int]) -> SourceViews:
    """A board 40 cm before these views hides all that is between near and far from them."""
    assert views.depth is not None
    depth = views.depth.clone()
    depth[blind] = 0.4
    return replace(views, depth=depth)


@pytest.fixture
def views(plane_scene) -> SourceViews:
    return SourceViews.from_frames(plane_scene.ring(5))


def assert_same(one: object, other: object, **tolerance: float) -> None:
    for name in ("logits", "color", "depth", "opacity", "coverage"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), **tolerance)


@pytest.mark.parametrize("visibility", ["mask", "full"])
def test_a_view_that_sees_nothing_of_it_might_as_well_be_absent(views, plane_scene, visibility: str) -> None:
    """No key, no weight, no share in mean, variance and color. Without statistics, which know how many views are."""
    model = network(visibility, density_statistics=False)
    target = plane_scene.camera((0.05, -0.02, 0.1))
    rays = model.rays(target, target.pixel_grid()[::101], BOUNDS)
    with torch.no_grad():
        without = model.infer(model.encode(views[[0, 2, 3]]), rays, SAMPLES)
        hidden = model.infer(model.encode(behind_a_board(views, [1, 4])), rays, SAMPLES)
        seeing = model.infer(model.encode(views), rays, SAMPLES)
    # Instance norm and attention over other batch shapes: single precision.
    assert_same(hidden, without, atol=2e-3, rtol=2e-3)
    assert (hidden.color - seeing.color).abs().max() > 1e-2, "those views had something to say"


def test_what_all_views_call_hidden_is_rendered_from_all(views, plane_scene) -> None:
    masked = network("mask")
    plain = SemanticRay(replace(masked.config, visibility="none")).eval()
    plain.load_state_dict(masked.state_dict())
    target = plane_scene.camera((0.05, -0.02, 0.1))
    rays = masked.rays(target, target.pixel_grid()[::101], BOUNDS)
    everywhere = behind_a_board(views, list(range(5)))
    with torch.no_grad():
        found = masked.infer(masked.encode(everywhere), rays, SAMPLES)
        assert_same(found, plain.infer(plain.encode(views), rays, SAMPLES), atol=0, rtol=0)
    assert found.opacity.max() > 0.1


@pytest.mark.parametrize("statistics", [True, False])
def test_an_extended_model_changes_by_the_mask_alone(views, plane_scene, statistics: bool) -> None:
    plain = network("none", density_statistics=statistics)
    full, masked = plain.extended("full"), plain.extended("mask")
    assert full.config == replace(plain.config, visibility="full") and not full.training
    assert full.fine.geometry.pooled_mlp[0].in_features == 64 + STATISTICS * statistics + 4
    target = plane_scene.camera((0.05, -0.02, 0.1))
    rays = plain.rays(target, target.pixel_grid()[::101], BOUNDS)
    some_hidden = behind_a_board(views, [1])
    with torch.no_grad():
        without_depth = replace(views, depth=None)
        for model in (full, masked):
            found = model.infer(model.encode(without_depth), rays, SAMPLES)
            assert_same(found, plain.infer(plain.encode(without_depth), rays, SAMPLES), atol=1e-5, rtol=1e-5)
        found = full.infer(full.encode(some_hidden), rays, SAMPLES)
        assert_same(found, masked.infer(masked.encode(some_hidden), rays, SAMPLES), atol=1e-5, rtol=1e-5)
        unmasked = plain.infer(plain.encode(some_hidden), rays, SAMPLES)
        assert (found.color - unmasked.color).abs().max() > 1e-2
    assert plain.state_dict()["fine.view_weights.mlp.0.weight"].shape == (16, 37), "the model itself is as it was"


def test_the_new_inputs_learn(views, plane_scene) -> None:
    model = network("none").extended("full").train()
    target = plane_scene.camera((0.05, -0.02, 0.1))
    rays = model.rays(target, target.pixel_grid()[::101], BOUNDS)
    coarse, fine = model(model.encode(views), rays, SAMPLES)
    (coarse.opacity.sum() + fine.opacity.sum() + fine.logits.square().sum()).backward()
    for head in (model.coarse, model.fine):
        assert head.geometry.pooled_mlp[0].weight.grad[:, -4:].abs().max() > 0
    assert model.fine.view_weights.mlp[0].weight.grad[:, -2:].abs().max() > 0


def test_no_model_forgets_what_it_reads() -> None:
    with pytest.raises(ValueError, match="reads visibility full; expected no less, not mask"):
        network("full").extended("mask")


def test_an_unknown_visibility_is_refused_by_name() -> None:
    config = SemanticRayConfig(5)
    object.__setattr__(config, "visibility", "some")
    with pytest.raises(ValueError, match="visibility is 'some'; expected one of none, mask, full"):
        config.__post_init__()


def test_the_paper_asks_nobody_who_sees_what(views) -> None:
    assert SemanticRayConfig.paper(5).visibility == "none" == SemanticRayConfig(5).visibility
    model = SemanticRay(SemanticRayConfig.paper(5))
    assert not model.reads_depth and model.encode(views).surfaces is None


def test_unknown_depth_tells_one_half_and_no_distance(views) -> None:
    builder = ContextBuilder(zero_directions=False, visibility="full")
    encoded = network("full").encode(replace(views, depth=None))
    points = torch.tensor([0.0, 0.0, 2.0]).expand(2, 3, 3)
    with torch.no_grad():
        context = builder(encoded, torch.zeros(3), points)
    assert context.sight is not None
    assert (context.sight[..., 0] == 0.5).all() and (context.sight[..., 1] == 0).all()
    assert torch.equal(context.valid, encoded.camera.project(points).seen)


def test_coarse_and_fine_pass_ask_alike(views, plane_scene) -> None:
    """Where surfaces are looked for, hidden views do not count either."""
    model = network("mask", density_statistics=False)
    target = plane_scene.camera((0.05, -0.02, 0.1))
    rays = model.rays(target, target.pixel_grid()[::101], BOUNDS)
    places = uniform_samples(len(rays), 9, device=rays.pixels.device)
    with torch.no_grad():
        hidden = model.look(model.encode(behind_a_board(views, [1, 4])), rays, places)
        without = model.look(model.encode(views[[0, 2, 3]]), rays, places)
    torch.testing.assert_close(hidden, without, atol=1e-3, rtol=1e-3)
