"""SemanticField with depth of the sources: where the surface is, how many samples that takes, what is opaque."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from field_fixtures import make_field

from sray.frames import SourceViews
from sray.ray_output import RayOutput
from sray.rays import RayBundle
from sray.sampling import ROOM_BOUNDS


@pytest.fixture
def views(plane_scene) -> SourceViews:
    return SourceViews.from_frames(plane_scene.ring(4))


@pytest.fixture
def half_measured(views: SourceViews, plane_scene) -> SourceViews:
    """With depth on the left half of the wall alone."""
    assert views.depth is not None
    right = torch.arange(plane_scene.width) >= plane_scene.width // 2
    return replace(views, depth=views.depth.masked_fill(right, torch.nan))


def test_depth_of_the_sources_puts_the_surface_where_it_is(views: SourceViews, plane_scene) -> None:
    """An untrained network finds no wall; the sensor does, and the light ends there."""
    camera = plane_scene.camera((0.1, 0, 0))
    errors = {}
    for depth in (True, False):
        field = make_field(coarse_samples=32, fine_samples=8)
        field.set_sources(views if depth else replace(views, depth=None))
        view = field.render(camera)
        errors[depth] = (view.depth - plane_scene.wall_z).abs().nanmedian()
        if depth:
            torch.testing.assert_close(view.opacity, torch.ones_like(view.opacity), atol=1e-3, rtol=0)
    assert errors[True] < 0.15 * plane_scene.wall_z, "a bin is 9 % of the depth"
    assert errors[True] < errors[False] / 2


def test_where_depth_is_known_a_ray_takes_fewer_samples(
    half_measured: SourceViews, plane_scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the halves the guide may be wide."""
    field = make_field(fine_samples=6, wide_samples=9, measured_samples=3)
    field.set_sources(half_measured, bounds=ROOM_BOUNDS)
    assert field._engine is not None
    rays: dict[int, int] = {}
    shade = field._engine.shade

    def counting(along: RayBundle, coordinates: torch.Tensor) -> RayOutput:
        rays[coordinates.shape[1]] = rays.get(coordinates.shape[1], 0) + len(along)
        return shade(along, coordinates)

    monkeypatch.setattr(field._engine, "shade", counting)
    camera = plane_scene.camera((0, 0, 0))
    field.render(camera)
    assert rays[3] > 0.3 * camera.height * camera.width
    assert rays[6] + rays[9] > 0.3 * camera.height * camera.width


def test_only_what_a_sensor_measured_is_opaque(half_measured: SourceViews, plane_scene) -> None:
    """Right of it the network's doubt stays."""
    camera = plane_scene.camera((0, 0, 0))
    field = make_field(coarse_samples=32, fine_samples=8, match_exposure=False)
    with torch.no_grad():
        field.model.fine.geometry.density_mlp[2].bias.fill_(0.02)
    pictures = []
    for sources in (half_measured, replace(half_measured, depth=None)):
        field.set_sources(sources, bounds=ROOM_BOUNDS)
        pictures.append(field.render(camera))
    mixed, unaided = pictures
    torch.testing.assert_close(mixed.opacity[:, :12], torch.ones(36, 12), atol=1e-3, rtol=0)
    torch.testing.assert_close(mixed.opacity[:, -8:], unaided.opacity[:, -8:], atol=1e-3, rtol=0)
    assert unaided.opacity[:, -8:].max() < 0.9
