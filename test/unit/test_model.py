"""SemanticRay: its symmetries, its passes, and its head against the twins."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from random_contexts import random_context
from reference import compositing as compositing_twin

from sray.attention import AttentionVariant
from sray.camera import Camera
from sray.context import ContextSpace, EncodedViews
from sray.frames import SourceViews
from sray.model import RayHead, SemanticRay, SemanticRayConfig
from sray.rays import SampleCounts

BOUNDS = (0.5, 8.0)
SAMPLES = SampleCounts(12, 6)


def model_of(config: SemanticRayConfig, seed: int = 0) -> SemanticRay:
    torch.manual_seed(seed)
    return SemanticRay(config).eval()


@pytest.fixture
def scene(plane_scene) -> tuple[SourceViews, Camera, torch.Tensor]:
    target = plane_scene.camera((0.05, -0.02, 0.1))
    return SourceViews.from_frames(plane_scene.ring(4)), target, target.pixel_grid()[::101]


def stirred(model: SemanticRay) -> SemanticRay:
    """Away from the start: what begins at zero takes part."""
    torch.manual_seed(42)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.3)
    return model


PRESETS = {"default": SemanticRayConfig, "paper": SemanticRayConfig.paper}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("variant", get_args(AttentionVariant))
def test_every_config_runs_and_learns(
    preset: str, variant: AttentionVariant, scene: tuple[SourceViews, Camera, torch.Tensor]
) -> None:
    views, target, pixels = scene
    model = model_of(PRESETS[preset](5, attention=variant)).train()
    outputs = model(model.encode(views), model.rays(target, pixels, BOUNDS), SAMPLES, torch.Generator().manual_seed(0))
    for output, samples in zip(outputs, (12, 6), strict=True):
        assert output.logits.shape == (len(pixels), 5)
        assert output.color.shape == (len(pixels), 3)
        assert output.weights.shape == output.coordinates.shape == (len(pixels), samples)
        for name in ("logits", "color", "depth", "opacity", "coverage"):
            assert getattr(output, name).isfinite().all(), name
        assert ((output.opacity >= 0) & (output.opacity <= 1 + 1e-6)).all()
        assert ((output.coverage >= 0) & (output.coverage <= 4 + 1e-5)).all()
        torch.testing.assert_close(output.opacity, output.weights.sum(-1))
        seen = output.opacity > 0.01
        assert ((output.depth >= BOUNDS[0]) & (output.depth <= BOUNDS[1]))[seen].all()
    loss = sum((o.logits.square().sum() + o.color.sum()) for o in outputs)
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    touched = sum(bool((p.grad != 0).any()) for p in model.parameters() if p.grad is not None)
    assert touched > 0.7 * len(list(model.parameters()))


def test_the_fine_pass_sees_the_whole_ray_if_it_is_told_to(scene: tuple[SourceViews, Camera, torch.Tensor]) -> None:
    views, target, pixels = scene
    model = model_of(SemanticRayConfig(5)).eval()
    rays, counts = model.rays(target, pixels, BOUNDS), SampleCounts(12, 6, whole_ray=10)
    with torch.no_grad():
        encoded = model.encode(views)
        _, trained = model(encoded, rays, counts)
        rendered = model.infer(encoded, rays, counts)
    assert trained.weights.shape == (len(pixels), 16)
    assert float(trained.coordinates[:, 0].max()) < 0.06 and float(trained.coordinates[:, -1].min()) > 0.94
    torch.testing.assert_close(rendered.logits, trained.logits)
    with pytest.raises(ValueError, match="-1 samples of the whole ray"):
        SampleCounts(12, 6, -1)


@pytest.mark.parametrize(
    ("name", "value"), [("classes", 0), ("tau", 0.0), ("tau", 1.5), ("spacing", "even"), ("attention", "radiall")]
)
def test_an_impossible_config_is_refused(name: str, value: object) -> None:
    config = SemanticRayConfig(3)
    object.__setattr__(config, name, value)  # past the type checks that these tests add and users do not have
    with pytest.raises(ValueError, match=f"{name} is .*expected"):
        config.__post_init__()


def test_one_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        SampleCounts(1, 8)


def head_inputs(views: int, rays: int, samples: int) -> tuple[ContextSpace, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(views)
    valid = torch.rand(views, rays, samples, generator=generator) > 0.3
    valid[:, 0, 0] = False
    valid[:, -1] = False
    context = random_context(valid, generator)
    coordinates = torch.rand(rays, samples, generator=generator, dtype=torch.float64).sort(-1).values
    return context, coordinates, 0.5 + 4 * coordinates


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("views", [1, 4])
def test_a_head_is_eq_11_and_13_with_every_sample_classified(preset: str, views: int) -> None:
    """The classifier is linear: classifying each sample and compositing the logits gives the same, bias included."""
    torch.manual_seed(views)
    head = stirred(RayHead(PRESETS[preset](6))).double()  # type: ignore[arg-type]
    context, coordinates, depths = head_inputs(views, 4, 5)
    with torch.no_grad():
        found = head(context, coordinates, depths)
        refined = head.attention(context.tokens, context.valid, coordinates)
        shares, geometry = head.view_weights(context), head.geometry(context)
        for ray in range(4):
            weights = compositing_twin.weights_of(
                geometry.density[ray], compositing_twin.deltas_of(coordinates[ray].tolist())
            )
            logits, color = torch.zeros(6, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
            depth = seen = 0.0
            for k, weight in enumerate(weights):
                semantics = sum(shares[view, ray, k] * refined[view, ray, k] for view in range(views))  # eq. 11
                logits += weight * (head.classifier.weight @ semantics + head.classifier.bias)  # eq. 13
                color += weight * geometry.color[ray, k]
                depth += float(weight * depths[ray, k])
                seen += float(weight * context.valid[:, ray, k].sum())
            opacity = float(sum(weights))
            torch.testing.assert_close(found.logits[ray], logits, atol=1e-11, rtol=1e-9)
            torch.testing.assert_close(found.color[ray], color, atol=1e-12, rtol=1e-9)
            assert float(found.opacity[ray]) == pytest.approx(opacity, abs=1e-12)
            if opacity > 1e-5:
                assert float(found.depth[ray]) == pytest.approx(depth / opacity, rel=1e-9)
                assert float(found.coverage[ray]) == pytest.approx(seen / opacity, rel=1e-9)
    assert found.opacity[-1] == 0, "nobody sees the last ray"
    assert (found.logits[-1] == 0).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_views_can_come_in_any_order(preset: str, scene: tuple[SourceViews, Camera, torch.Tensor]) -> None:
    views, target, pixels = scene
    model = stirred(model_of(PRESETS[preset](5)))  # type: ignore[operator]
    with torch.no_grad():
        one = model.infer(model.encode(views), model.rays(target, pixels, BOUNDS), SAMPLES)
        other = model.infer(model.encode(views[[2, 0, 3, 1]]), model.rays(target, pixels, BOUNDS), SAMPLES)
    # Sums over views in another order: single precision, then magnified by where the fine samples fall.
    torch.testing.assert_close(other.logits, one.logits, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(other.color, one.color, atol=1e-3, rtol=1e-3)


def test_a_view_that_sees_nothing_changes_nothing_but_what_counts_views(
    plane_scene, scene: tuple[SourceViews, Camera, torch.Tensor]
) -> None:
    """A keyframe turned away is masked everywhere; the paper's preset does not even know it is there."""
    _, target, pixels = scene
    frames = plane_scene.ring(3)
    away = plane_scene.ring(4)[3]
    turned = away.camera.world_from_camera.clone()
    turned[:3, 0] *= -1
    turned[:3, 2] *= -1
    away = away.__class__(away.image, Camera(away.camera.intrinsics, turned, away.camera.width, away.camera.height))
    model = stirred(model_of(SemanticRayConfig.paper(5)))
    with torch.no_grad():
        without = model.infer(
            model.encode(SourceViews.from_frames(frames)), model.rays(target, pixels, BOUNDS), SAMPLES
        )
        having = model.infer(
            model.encode(SourceViews.from_frames([*frames, away])), model.rays(target, pixels, BOUNDS), SAMPLES
        )
    torch.testing.assert_close(having.logits, without.logits, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(having.coverage, without.coverage, atol=1e-3, rtol=1e-3)


def test_inference_is_the_fine_result_of_the_training_pass(scene: tuple[SourceViews, Camera, torch.Tensor]) -> None:
    views, target, pixels = scene
    model = stirred(model_of(SemanticRayConfig(5)))
    with torch.no_grad():
        encoded = model.encode(views)
        coarse, fine = model(encoded, model.rays(target, pixels, BOUNDS), SAMPLES)
        alone = model.infer(encoded, model.rays(target, pixels, BOUNDS), SAMPLES)
    for name in ("logits", "color", "depth", "opacity", "coverage"):
        torch.testing.assert_close(getattr(alone, name), getattr(fine, name), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(coarse.logits, fine.logits), "heads of their own"


def test_jitter_comes_from_the_generator_alone(scene: tuple[SourceViews, Camera, torch.Tensor]) -> None:
    views, target, pixels = scene
    model = model_of(SemanticRayConfig(5))
    with torch.no_grad():
        encoded = model.encode(views)
        runs = [
            model(encoded, model.rays(target, pixels, BOUNDS), SAMPLES, torch.Generator().manual_seed(seed))[1].logits
            for seed in (1, 1, 2)
        ]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_no_gradient_flows_from_the_fine_pass_into_the_coarse_head(
    scene: tuple[SourceViews, Camera, torch.Tensor],
) -> None:
    views, target, pixels = scene
    model = model_of(SemanticRayConfig(5))
    _, fine = model(model.encode(views), model.rays(target, pixels, BOUNDS), SAMPLES)
    fine.logits.square().sum().backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in model.coarse.parameters())


def test_the_world_can_be_put_anywhere(scene: tuple[SourceViews, Camera, torch.Tensor]) -> None:
    """Where the world's origin is does not matter. (How it is turned does: directions are the world's.)"""
    views, target, pixels = scene
    model = stirred(model_of(SemanticRayConfig(5)))
    shift = torch.eye(4)
    shift[:3, 3] = torch.tensor([3.0, -2.0, 5.0])

    def moved(camera: Camera) -> Camera:
        return Camera(camera.intrinsics, shift @ camera.world_from_camera, camera.width, camera.height)

    with torch.no_grad():
        here = model.infer(model.encode(views), model.rays(target, pixels, BOUNDS), SAMPLES)
        elsewhere = model.infer(
            model.encode(SourceViews(views.images, moved(views.camera), views.depth)),
            model.rays(moved(target), pixels, BOUNDS),
            SAMPLES,
        )
    # Meters away, single precision projects to within a thousandth of a pixel.
    torch.testing.assert_close(elsewhere.color, here.color, atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(elsewhere.depth, here.depth, atol=1e-2, rtol=1e-2)


def test_encoded_views_count(scene: tuple[SourceViews, Camera, torch.Tensor]) -> None:
    views, _, _ = scene
    encoded = model_of(SemanticRayConfig(5)).encode(views)
    assert isinstance(encoded, EncodedViews)
    assert encoded.count == 4
    assert encoded.features.shape == (4, 32, 9, 12)
