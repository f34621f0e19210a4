"""What `sray figures` says of attention, view weights and features: against the modules themselves and known values."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import PlaneScene

from sray.attention import MaskedAttention
from sray.camera import Camera
from sray.model import SemanticRay, SemanticRayConfig
from sray.sampling import uniform_samples
from sray_train.data.scene import Scene
from sray_train.paper.figures.feature_maps import feature_colors
from sray_train.paper.figures.fine_pass import attention_weights, fine_pass, noted, per_head
from sray_train.paper.figures.inner_sections import attention_verdict, weights_verdict
from sray_train.paper.figures.query_view import QueryRays, QueryView
from sray_train.paper.figures.ray_choice import ray_for_attention, rays_for_weights
from sray_train.paper.figures.view_weights import WeightsBySight, ray_weights, weights_by_sight
from sray_train.paper.figures.visibility import (
    Agreement,
    agreements,
    attention_received,
    correlation,
    profile_about_surface,
)
from sray_train.score.evaluate import Query

BOUNDS = (0.5, 4.0)


@pytest.fixture
def query() -> Query:
    plane = PlaneScene()
    frames = plane.ring(6)
    return Query(Scene("wall", frames, Camera.stack([frame.camera for frame in frames]), BOUNDS), 0, (1, 2, 3, 4, 5))


def network(**config: object) -> SemanticRay:
    torch.manual_seed(4)
    model = SemanticRay(SemanticRayConfig(3, **config))  # type: ignore[arg-type]
    for parameter in model.parameters():  # output projections start at zero, and would make all attention alike
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture
def rays(query: Query) -> QueryRays:
    """At even samples of random weights, which find no surface: all rays count here."""
    view = QueryView(network(), query)
    rays = view.along(view.spread_pixels())
    return replace(rays, found=torch.ones_like(rays.found))


# Attention


@pytest.mark.parametrize("bias", [True, False])
def test_attention_weights_times_values_are_the_modules_own_result(bias: bool) -> None:
    torch.manual_seed(0)
    attention = MaskedAttention(8, heads=2, bias=bias).double()
    tokens, valid = torch.randn(3, 5, 7, 8, dtype=torch.float64), torch.rand(3, 5, 7) > 0.3
    valid[0, 0] = False
    weights = attention_weights(attention, tokens, valid)
    values = per_head(attention.projected(tokens)[2], 2)
    gathered = (weights @ values).transpose(-2, -3).flatten(-2)
    expected = attention.mixed(gathered) * valid.any(-1)[..., None, None]
    # A few dozen sums of numbers about 1 in double precision.
    torch.testing.assert_close(attention(tokens, valid), expected, atol=1e-12, rtol=1e-10)


def test_each_row_of_attention_sums_to_one_over_what_the_view_shows() -> None:
    torch.manual_seed(0)
    tokens, valid = torch.randn(4, 6, 8), torch.rand(4, 6) > 0.5
    valid[0] = False
    weights = attention_weights(MaskedAttention(8, heads=2), tokens, valid)
    assert weights.shape == (4, 2, 6, 6)
    assert (weights[~valid[:, None, None].expand_as(weights)] == 0).all()
    torch.testing.assert_close(weights.sum(-1), valid.any(-1).float()[:, None, None].expand(4, 2, 6))


def test_what_a_ray_looked_at_is_what_its_rendering_used(query: Query) -> None:
    """The noted weights explain the very change that the attention made to the tokens."""
    model = network()
    view = QueryView(model, query)
    pixels = view.spread_pixels()
    coordinates = uniform_samples(len(pixels), 12, device=pixels.device)
    radial = model.fine.attention.steps["radial"]
    assert isinstance(radial, MaskedAttention)
    with torch.inference_mode(), noted({"radial": radial}) as seen:
        passed = fine_pass(model, view.encoded, model.rays(view.target.camera, pixels, BOUNDS), coordinates)
        (tokens, _), result = seen["radial"]
        values = per_head(radial.projected(tokens)[2], radial.heads)
        assert passed.attention is not None
        explained = radial.mixed((passed.attention @ values).transpose(-2, -3).flatten(-2))
    used = passed.valid.any(-1)
    assert used.float().mean() > 0.5
    torch.testing.assert_close(result[used], explained[used], atol=1e-5, rtol=1e-4)


def test_noting_changes_nothing_and_leaves_nothing_behind(query: Query) -> None:
    model = network()
    view = QueryView(model, query)
    pixels = view.spread_pixels()
    coordinates = uniform_samples(len(pixels), 12, device=pixels.device)
    with torch.inference_mode():
        alone = model.shade(view.encoded, model.rays(view.target.camera, pixels, BOUNDS), coordinates)
    noticed = fine_pass(model, view.encoded, model.rays(view.target.camera, pixels, BOUNDS), coordinates).output
    assert torch.equal(alone.weights, noticed.weights)
    assert alone.logits is not None and noticed.logits is not None and torch.equal(alone.logits, noticed.logits)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_without_radial_attention_has_none_to_show(query: Query) -> None:
    view = QueryView(network(attention="cross_view"), query)
    rays = view.along(view.spread_pixels())
    assert rays.passed.attention is None
    with pytest.raises(ValueError, match="full or radial"):
        attention_received(rays.passed)


def test_attention_received_is_shared_out_among_the_samples_in_the_view(rays: QueryRays) -> None:
    received = attention_received(rays.passed)
    some = rays.passed.valid.any(-1)
    torch.testing.assert_close(received.sum(-1)[some], torch.ones(int(some.sum())))
    assert (received[~rays.passed.valid] == 0).all()


# Visibility


def test_correlation_is_numpys_over_the_counted_samples() -> None:
    rng = np.random.default_rng(0)
    one, other, counted = rng.normal(size=20), rng.normal(size=20), rng.random(20) > 0.4
    found = correlation(*(torch.from_numpy(values).float() for values in (one, other)), torch.from_numpy(counted))
    assert float(found) == pytest.approx(np.corrcoef(one[counted], other[counted])[0, 1], abs=1e-6)
    assert correlation(torch.ones(5), torch.arange(5.0), torch.ones(5, dtype=torch.bool)).isnan()


def test_attention_that_is_visibility_is_found_to_be(rays: QueryRays) -> None:
    """Every sample looks at what the view can see, and nowhere else."""
    assert rays.visible is not None and rays.passed.attention is not None
    seen = rays.visible.float() + 1e-6 * torch.rand(rays.visible.shape)
    rows = (seen / seen.sum(-1, keepdim=True))[:, :, None, None].expand_as(rays.passed.attention)
    ideal = replace(rays, passed=replace(rays.passed, attention=rows))
    found = {one.what: one for one in agreements(ideal)}
    assert found["visible from the source"].own > 0.999
    assert found["visible from the source"].rays > 0


def test_what_is_before_the_wall_is_visible_and_what_is_behind_it_is_not(rays: QueryRays) -> None:
    assert rays.visible is not None
    depth, inside = rays.passed.depths.expand(rays.visible.shape), rays.projection.seen
    # The wall is at world z = 2 m; cameras stand within 0.1 m of z = 0, and 3 % may be nearer or farther.
    assert rays.visible[inside & (depth < 1.8)].all()
    assert not rays.visible[inside & (depth > 2.2)].any()
    assert not rays.visible[~inside].any()


def test_the_profile_is_one_where_attention_is_even(rays: QueryRays) -> None:
    valid = rays.passed.valid
    assert rays.passed.attention is not None
    even = (valid / valid.sum(-1, keepdim=True).clamp_min(1))[:, :, None, None].expand_as(rays.passed.attention)
    places, heads = profile_about_surface(replace(rays, passed=replace(rays.passed, attention=even)), 4)
    assert places.tolist() == list(range(-4, 5))
    torch.testing.assert_close(heads[heads.isfinite()], torch.ones(int(heads.isfinite().sum())))
    assert heads.isfinite().any()


def test_a_recorded_surface_is_where_the_sensor_saw_it(query: Query) -> None:
    view = QueryView(network(), query)
    pixels = view.spread_pixels()
    rays = view.on_surface(pixels)
    column, row = pixels.long().unbind(-1)
    assert view.target.depth is not None
    at = rays.passed.depths.gather(-1, rays.surface.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(at, view.target.depth[row, column], atol=1e-4, rtol=0)
    assert rays.visible is not None
    inside = rays.at_surface(rays.passed.valid)
    assert rays.at_surface(rays.visible)[inside].all()  # nothing stands before the wall


def test_attention_is_said_to_follow_only_what_it_follows_in_every_picture_and_beyond_another_rays() -> None:
    follows = [Agreement("compositing weight", own, other, 9) for own, other in ((0.5, 0.1), (0.3, 0.1))]
    assert attention_verdict(follows).endswith("this attention does follow the compositing weight.")
    for own, other in ((0.5, 0.45), (-0.1, -0.4), (0.05, 0.0)):
        one = Agreement("compositing weight", own, other, 9)
        assert attention_verdict([*follows, one]).endswith("this attention does not follow visibility.")
    assert attention_verdict([Agreement("compositing weight", math.nan, math.nan, 0)]) == ""


# View weights


def test_view_weights_are_the_networks_own_within_their_bounds(query: Query) -> None:
    model = network(tau=0.7)
    view = QueryView(model, query)
    pixels = view.spread_pixels()
    rays = view.on_surface(pixels)
    with torch.inference_mode(), noted({"head": model.fine}) as seen:
        model.shade(view.encoded, model.rays(view.target.camera, pixels, BOUNDS), rays.passed.output.coordinates)
        network_says = model.fine.view_weights(seen["head"][0][0])
    assert view.target.depth is not None and rays.found.all()  # the wall is everywhere
    shown_rays = rays.at_surface(rays.passed.valid).any(0).nonzero().flatten().tolist()
    assert len(shown_rays) > 3
    for ray in shown_rays:
        found = ray_weights(rays, ray, 0.7)
        column, row = pixels[ray].long().tolist()
        wall = int((rays.passed.depths[ray] - view.target.depth[row, column]).abs().argmin())
        assert found.weights == pytest.approx(network_says[:, ray, wall].tolist(), abs=1e-6)
        low, high = found.bounds
        inside = [weight for weight, shown in zip(found.weights, found.inside, strict=True) if shown]
        assert sum(inside) == pytest.approx(1, abs=1e-5)
        assert (low, high) == pytest.approx((0.7 / len(inside), 1 / (0.7 * len(inside))))
        assert all(low - 1e-5 <= weight <= high + 1e-5 for weight in inside) or len(inside) == 1


def test_weights_of_views_that_see_and_of_views_that_do_not_are_told_apart(rays: QueryRays) -> None:
    inside = rays.passed.valid
    visible = inside.clone()
    visible[0] = False  # something stands before the first view
    count = inside.sum(0).clamp_min(1)
    weights = torch.where(visible, 1.2, 0.8) * inside / count
    made = replace(rays, visible=visible, passed=replace(rays.passed, view_weights=weights))
    sight = weights_by_sight(made, tau=0.7)
    assert (sight.seeing, sight.hidden) == pytest.approx((1.2, 0.8), abs=1e-5)
    assert sum(sight.views) == int(rays.at_surface(inside).sum()) and min(sight.views) > 0
    assert sight.at_bounds == 0


def test_weights_are_said_to_depend_on_sight_only_if_they_do_in_every_picture() -> None:
    told, untold = (WeightsBySight(seeing, 0.9, (5, 5), 0.1, 0.0) for seeing in (1.1, 0.92))
    assert weights_verdict([told, told]).endswith("views that see the surface do weigh more.")
    assert weights_verdict([told, untold]).endswith("these weights hardly depend on who sees the surface.")
    assert weights_verdict([WeightsBySight(1.0, math.nan, (5, 0), 0.1, 0.0)]) == ""


# Features, and which rays are shown


def test_feature_colors_are_the_same_each_time_and_tell_unlike_cells_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 32, 5, 6, generator=generator)
    features[:, :, :, :3] += 8 * torch.randn(32, generator=generator)[:, None, None]
    first, shown = feature_colors(features)
    again, _ = feature_colors(features.clone())
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert first[0].shape == (5, 6, 3) and first[0].dtype == np.uint8
    left, right = first[0][:, :3, 0].astype(int), first[0][:, 3:, 0].astype(int)
    assert abs(left.mean() - right.mean()) > 100 and 0.5 < shown <= 1


def test_feature_colors_have_one_meaning_in_all_views() -> None:
    features = torch.randn(1, 32, 4, 4, generator=torch.Generator().manual_seed(1))
    one, other = feature_colors(torch.cat([features, features.flip(-1)]))[0]
    assert np.array_equal(one, other[:, ::-1])


def test_rays_are_chosen_by_geometry_and_stand_apart(rays: QueryRays) -> None:
    chosen = rays_for_weights(rays, 2, apart=12)
    assert len(set(chosen)) == 2
    assert float((rays.pixels[chosen[0]] - rays.pixels[chosen[1]]).norm()) >= 12
    assert rays.passed.attention is not None
    other = replace(rays, passed=replace(rays.passed, attention=rays.passed.attention.flip(-1)))
    assert ray_for_attention(rays) == ray_for_attention(other)
