"""The compiled chain against its twin: the plain model in double precision."""

from __future__ import annotations

import copy
import itertools
import platform
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sray.camera import Camera
from sray.context import EncodedViews
from sray.frames import SourceViews
from sray.kernel import NativeRays, NoKernel, build
from sray.model import SemanticRay, SemanticRayConfig
from sray.sampling import importance_samples, uniform_samples
from sray.visibility import Surfaces

BOUNDS = (0.5, 8.0)

needs_kernel = pytest.mark.skipif(
    isinstance(build.library(), NoKernel), reason=f"no compiled kernel: {build.library()}"
)


def stirred(config: SemanticRayConfig) -> SemanticRay:
    """A model in which every part has a say: nothing at zero, densities around one half that differ."""
    torch.manual_seed(3)
    model = SemanticRay(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.3)
        for head in (model.coarse, model.fine):
            last = head.geometry.density_mlp[2]
            last.weight.mul_(10)
            last.bias.fill_(0.5)
    return model


def encoded(model: SemanticRay, views: SourceViews) -> EncodedViews:
    with torch.inference_mode():
        return model.encode(views)


def in_double(views: EncodedViews) -> EncodedViews:
    camera = replace(
        views.camera,
        intrinsics=views.camera.intrinsics.double(),
        world_from_camera=views.camera.world_from_camera.double(),
    )
    surfaces = views.surfaces
    if surfaces is not None:
        surfaces = Surfaces(surfaces.depth.double(), surfaces.confidence.double())
    return replace(
        views, images=views.images.double(), camera=camera, features=views.features.double(), surfaces=surfaces
    )


def seen_through_holes(views: SourceViews) -> SourceViews:
    """Depth with holes, boards that hide what is behind them, and all degrees of confidence."""
    assert views.depth is not None
    depth = views.depth.clone()
    for view in range(views.count):
        depth[view, :, 12 * view % 40 : 12 * view % 40 + 9] = torch.nan
        depth[view, 8 * view % 30 : 8 * view % 30 + 8] = 0.8 + 0.1 * view
    generator = torch.Generator().manual_seed(4)
    return replace(views, depth=depth, depth_confidence=torch.rand(depth.shape, generator=generator).clamp(0.1, 0.9))


@pytest.fixture
def target(plane_scene) -> Camera:
    """Turned, so that some rays leave the sources' sight and some samples are seen by a few sources only."""
    return plane_scene.camera((0.05, -0.02, 0.1), yaw_degrees=35)


CONFIGS = [
    SemanticRayConfig(5),
    SemanticRayConfig.paper(5),
    *(SemanticRayConfig(5, attention=variant) for variant in ("none", "radial", "cross_view")),
    SemanticRayConfig.paper(5, attention="none"),
    SemanticRayConfig(5, tau=1.0),
    SemanticRayConfig(5, tau=0.3),
    SemanticRayConfig(5, visibility="mask"),
    SemanticRayConfig(5, visibility="full"),
    SemanticRayConfig.paper(5, visibility="full"),
    SemanticRayConfig(5, reading_focal=60.0),
]


@needs_kernel
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.attention}-{c.spacing}-{c.tau}-{c.visibility}")
@pytest.mark.parametrize(("views", "samples"), [(4, 9), (1, 2), (9, 16)])
def test_it_finds_what_the_plain_model_finds(
    plane_scene, target: Camera, config: SemanticRayConfig, views: int, samples: int
) -> None:
    """Any number of rays (no multiple of the lanes), views and samples.

    The plain model in single precision is off by rounding too; the kernel may be off by a few times as much, as its
    sums run in another order and its exponential errs by 2e-7.
    """
    model = stirred(config)
    sources = encoded(model, seen_through_holes(SourceViews.from_frames(plane_scene.ring(views))))
    pixels = target.pixel_grid()[::37]
    coordinates = uniform_samples(
        len(pixels), samples, device=pixels.device, generator=torch.Generator().manual_seed(1)
    )
    exact_model, exact_sources = copy.deepcopy(model).double(), in_double(sources)
    exact_target = replace(
        target, intrinsics=target.intrinsics.double(), world_from_camera=target.world_from_camera.double()
    )
    rays, exact_rays = model.rays(target, pixels, BOUNDS), model.rays(exact_target, pixels.double(), BOUNDS)
    with torch.inference_mode():
        kernel = NativeRays(model, sources)
        exact = exact_model.look(exact_sources, exact_rays, coordinates.double())
        torch.testing.assert_close(kernel.look(rays, coordinates).double(), exact, atol=2e-4, rtol=0)

        exact_shaded = exact_model.shade(exact_sources, exact_rays, coordinates.double())
        plain = model.shade(sources, rays, coordinates)
        shaded = kernel.shade(rays, coordinates)
        for name in ("weights", "opacity", "color", "logits", "depth", "coverage"):
            truth = getattr(exact_shaded, name)
            error = (getattr(shaded, name).double() - truth).abs().max()
            rounding = (getattr(plain, name).double() - truth).abs().max()
            assert error <= 8 * rounding + 2e-5 * max(1.0, float(truth.abs().max())), name
        assert exact_shaded.opacity.max() > 0.5, "the rays see something"

        one = coordinates[:, :1]
        exact_color = exact_model.tint(exact_sources, exact_rays, one.double())
        torch.testing.assert_close(kernel.tint(rays, one).double(), exact_color, atol=1e-4, rtol=0)


@needs_kernel
def test_without_any_depth_all_is_unknown_to_it_too(plane_scene, target: Camera) -> None:
    model = stirred(SemanticRayConfig(5, visibility="full"))
    sources = encoded(model, replace(SourceViews.from_frames(plane_scene.ring(3)), depth=None))
    rays = model.rays(target, target.pixel_grid()[::37], BOUNDS)
    coordinates = uniform_samples(len(rays), 8, device=rays.pixels.device)
    with torch.inference_mode():
        plain, found = model.shade(sources, rays, coordinates), NativeRays(model, sources).shade(rays, coordinates)
    for name in ("weights", "opacity", "color", "logits", "depth", "coverage"):
        torch.testing.assert_close(getattr(found, name), getattr(plain, name), atol=1e-3, rtol=1e-3)


@needs_kernel
def test_threads_and_neighbors_do_not_change_a_ray(plane_scene, target: Camera) -> None:
    model = stirred(SemanticRayConfig(5))
    sources = encoded(model, SourceViews.from_frames(plane_scene.ring(3)))
    pixels = target.pixel_grid()[:200]
    before = torch.get_num_threads()
    results = []
    try:
        for threads, part in itertools.product((1, 3), (200, 17)):
            torch.set_num_threads(threads)
            kernel = NativeRays(model, sources)
            weights = uniform_samples(part, 8, device=pixels.device)
            results.append(kernel.shade(model.rays(target, pixels[:part], BOUNDS), weights).color[:17])
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert torch.equal(result, results[0])


@needs_kernel
def test_rays_that_see_nothing_are_empty_not_nan(plane_scene) -> None:
    model = stirred(SemanticRayConfig(5))
    sources = encoded(model, SourceViews.from_frames(plane_scene.ring(3)))
    away = plane_scene.camera((0, 0, 0), yaw_degrees=180)
    pixels = away.pixel_grid()[:20]
    kernel = NativeRays(model, sources)
    coordinates = importance_samples(torch.zeros(20, 8), 4)
    rays = model.rays(away, pixels, BOUNDS)
    shaded = kernel.shade(rays, coordinates)
    for name in ("weights", "opacity", "color", "logits", "depth", "coverage"):
        assert (getattr(shaded, name) == 0).all(), name
    assert (kernel.look(rays, coordinates) == 0).all()


@needs_kernel
def test_no_rays_are_no_work(plane_scene, target: Camera) -> None:
    model = stirred(SemanticRayConfig(5))
    kernel = NativeRays(model, encoded(model, SourceViews.from_frames(plane_scene.ring(2))))
    assert kernel.shade(model.rays(target, torch.zeros(0, 2), BOUNDS), torch.zeros(0, 8)).color.shape == (0, 3)


def test_what_it_cannot_do_it_leaves_to_the_plain_version() -> None:
    reason = NativeRays.unavailable(SemanticRay(SemanticRayConfig(5, attention="dense")))
    assert reason is not None and "dense" in str(reason)


@needs_kernel
@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors have one width")
@pytest.mark.parametrize("narrower", ["-mno-avx512f", "-mno-avx"])
def test_other_lane_widths_find_the_same(
    fresh_build: Path, monkeypatch: pytest.MonkeyPatch, plane_scene, target: Camera, narrower: str
) -> None:
    """Eight lanes, as on most laptops, and four."""
    model = stirred(SemanticRayConfig(5))
    sources = encoded(model, SourceViews.from_frames(plane_scene.ring(3)))
    pixels = target.pixel_grid()[::37]
    rays, coordinates = model.rays(target, pixels, BOUNDS), uniform_samples(len(pixels), 8, device=pixels.device)
    with torch.inference_mode():
        plain = model.shade(sources, rays, coordinates)
        monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, narrower))
        build.forget()
        narrow = NativeRays(model, sources).shade(rays, coordinates)
    for name in ("weights", "opacity", "color", "logits", "depth", "coverage"):
        torch.testing.assert_close(getattr(narrow, name), getattr(plain, name), atol=1e-3, rtol=1e-3)


@needs_kernel
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (7, 5)])
@pytest.mark.parametrize("views", [2, 32])
def test_small_odd_and_many_sources(plane_scene, target: Camera, size: tuple[int, int], views: int) -> None:
    model = stirred(SemanticRayConfig(5))
    frames = [frame.resized(*size) for frame in plane_scene.ring(views)]
    batch = SourceViews.from_frames(frames)
    features = torch.randn(views, 32, -(-size[1] // 4), -(-size[0] // 4), generator=torch.Generator().manual_seed(0))
    sources = EncodedViews(batch.images, batch.camera, features)
    pixels = target.pixel_grid()[::97]
    rays, coordinates = model.rays(target, pixels, BOUNDS), uniform_samples(len(pixels), 4, device=pixels.device)
    with torch.inference_mode():
        plain = model.shade(sources, rays, coordinates)
        found = NativeRays(model, sources).shade(rays, coordinates)
    for name in ("opacity", "color", "logits", "coverage"):
        torch.testing.assert_close(getattr(found, name), getattr(plain, name), atol=1e-3, rtol=1e-3)


@needs_kernel
def test_what_does_not_belong_together_is_refused(plane_scene, target: Camera) -> None:
    """The kernel reads memory by the sizes it is told."""
    model = stirred(SemanticRayConfig(5))
    views = encoded(model, SourceViews.from_frames(plane_scene.ring(3)))
    with pytest.raises(ValueError, match="expected 3 x 32"):
        NativeRays(model, replace(views, features=views.features[:, :16]))
    kernel = NativeRays(model, views)
    rays = model.rays(target, target.pixel_grid()[:5], BOUNDS)
    with pytest.raises(ValueError, match="5 pixels and 4 rows"):
        kernel._run(kernel._fine, rays, torch.rand(4, 8), [None] * 6)
    kernel._fine = kernel._fine[:-1]
    with pytest.raises(ValueError, match="the kernel refused"):
        kernel.shade(rays, torch.rand(5, 8))
