"""NeRF and Semantic-NeRF, which know one scene by heart: what each of their outputs depends on, and on what not."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from conftest import PlaneScene
from reference import frequencies as frequencies_twin

from sray.frames import SourceViews
from sray.ray_model import RayModel
from sray.rays import SampleCounts
from sray_train.learn.systems import SYSTEMS
from sray_train.paper.baselines.coordinate_network import CoordinateConfig
from sray_train.paper.baselines.frequencies import frequencies
from sray_train.paper.baselines.nerf import NeRF

BOUNDS = (1.0, 4.0)
OF_ONE_SCENE = [name for name, kind in SYSTEMS.items() if not kind.generalizes]


def network(name: str) -> RayModel:
    torch.manual_seed(0)
    return SYSTEMS[name].from_options(SYSTEMS[name].options_type(), 3).eval()


@pytest.fixture
def views(plane_scene: PlaneScene) -> SourceViews:
    return SourceViews.from_frames(plane_scene.ring(4))


def test_frequencies_by_hand() -> None:
    found = frequencies(torch.tensor([[0.5, -0.25]], dtype=torch.float64), 2)
    half = 0.5**0.5
    expected = [0.5, -0.25, 1.0, 0.0, -half, -1.0, 0.0, -1.0, half, 0.0]
    assert found[0].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", OF_ONE_SCENE)
def test_a_system_of_one_scene_looks_at_no_view_and_has_no_encoder(name: str, views: SourceViews) -> None:
    model, target = network(name), PlaneScene().camera((0.02, 0.03, 0.0))
    assert model.feature_channels == 0 and not list(model.encoder.parameters())
    pixels, elsewhere = target.pixel_grid()[::97], dataclasses.replace(views[[3]], images=1 - views[[3]].images)
    with torch.no_grad():
        one, other = (
            model.infer(model.encode(each, bounds=BOUNDS), model.rays(target, pixels, BOUNDS), SampleCounts(8, 8))
            for each in (views, elsewhere)
        )
    assert torch.equal(one.color, other.color) and torch.equal(one.logits, other.logits)
    assert (one.coverage - 1).abs().max() < 1e-5
    assert (
        [name for name, kind in SYSTEMS.items() if kind.feature_channels == 0]
        == OF_ONE_SCENE
        == ["nerf", "semantic_nerf"]
    )


def test_who_knows_one_scene_and_who_knows_no_classes() -> None:
    assert OF_ONE_SCENE == ["nerf", "semantic_nerf"]
    assert [name for name, kind in SYSTEMS.items() if not kind.knows_classes] == ["nerf"]


def test_labels_teach_nerf_nothing_but_a_constant_and_semantic_nerf_geometry_too(views: SourceViews) -> None:
    taught = {}
    for name in OF_ONE_SCENE:
        model, target = network(name), PlaneScene().camera((0.02, 0.03, 0.0))
        _, fine = model(model.encode(views), model.rays(target, target.pixel_grid()[::97], BOUNDS), SampleCounts(8, 8))
        fine.logits.square().sum().backward()
        taught[name] = {
            part
            for part, parameter in model.fine.named_parameters()
            if parameter.grad is not None and parameter.grad.any()
        }
    assert taught["nerf"] == {"classifier.bias"}
    assert {"density_mlp.layers.0.weight", "layers.0.weight", "semantic_mlp.0.weight"} <= taught["semantic_nerf"]
    assert not {part for part in taught["semantic_nerf"] if part.startswith(("color", "feature"))}


@pytest.mark.parametrize("name", OF_ONE_SCENE)
def test_only_color_depends_on_where_a_place_is_looked_at_from(name: str, views: SourceViews) -> None:
    model = network(name)
    points = torch.tensor([[[0.1, 0.2, 2.0], [0.3, -0.1, 1.5]]])
    with torch.no_grad():
        seen = [
            model.fine.gather(model.observe(model.encode(views), torch.tensor(origin), points))
            for origin in ([0.0, 0.0, 0.0], [1.0, 0.5, 0.0])
        ]
        densities, semantics, colors = (
            [part(each) for each in seen]
            for part in (
                lambda p: model.fine.density(p, points[..., 0]),
                lambda p: model.fine.semantics(p, points[..., 0]),
                model.fine.color,
            )
        )
    assert torch.equal(*densities) and torch.equal(*semantics) and not torch.equal(*colors)


def test_a_scenes_center_and_extent_say_where_places_lie(views: SourceViews) -> None:
    """A scene moved and grown looks the same to a network that is told so."""
    torch.manual_seed(0)
    one = NeRF(CoordinateConfig(classes=3, centre=(0.0, 0.0, 2.0), extent=2.0, place_frequencies=2))
    torch.manual_seed(0)
    other = NeRF(CoordinateConfig(classes=3, centre=(8.0, 0.0, 4.0), extent=4.0, place_frequencies=2))
    points, origin = torch.rand(2, 5, 3), torch.zeros(3)
    moved = torch.tensor([8.0, 0.0, 0.0])
    first = one.observe(one.encode(views), origin, points)
    second = other.observe(other.encode(views), 2 * origin + moved, 2 * points + moved)
    torch.testing.assert_close(second.place, first.place, atol=1e-5, rtol=0)
    torch.testing.assert_close(second.direction, first.direction, atol=1e-5, rtol=0)


def test_frequencies_are_their_twin() -> None:
    values = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = frequencies(values, 4)
    for row in range(4):
        assert found[row].tolist() == pytest.approx(frequencies_twin.encoding(values[row].tolist(), 4), abs=1e-9)
