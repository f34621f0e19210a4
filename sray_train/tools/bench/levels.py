"""The quality levels beside the reference, view by view in turn: a busy machine then slows all of them alike."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.camera import Camera
from sray.context import EncodedViews
from sray.field import RenderConfig, RenderedView, SemanticField
from sray.label_space import VOID
from sray.metrics import NO_DEPTH, depth_scores, psnr
from sray.model import SemanticRay
from sray.ray_output import RayOutput
from sray.rays import RayBundle
from sray.sampling import ROOM_BOUNDS
from sray_train.score.view_scores import ViewScore, mean_depth, mean_psnr, miou_interval, strict_miou
from sray_train.tools.bench.reference import CHUNKS, GPU_CHUNKS, ReferenceRenderer
from sray_train.tools.bench.scenes import BenchView
from sray_train.tools.bench.timing import matmul_rate, timed

LEVELS = ("high", "balanced", "fast")
IMAGE_RAYS = 320 * 240
"""Reference seconds are those of a ray times this."""


@dataclass
class Measured:
    """One renderer, one entry a view."""

    seconds: list[float] = field(default_factory=list)
    """A level: the whole image. The reference: one ray."""
    scores: list[ViewScore] = field(default_factory=list)


@dataclass
class Comparison:
    """What `compare` found."""

    reference: Measured
    rates: list[float]
    """Matrix-product FLOP/s measured beside each view of the reference."""
    chunk_rays: int
    """Rays at once of the reference: the fastest of those tried."""
    flops: int
    """Of one ray of the reference."""
    levels: dict[str, Measured]
    undarkened_psnr: list[float] = field(default_factory=list)
    """Of the reference's colors divided by their opacity, as the levels' are: its color's other fair reading."""

    def record(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """`reference` and `levels` of the JSON."""
        ray = statistics.median(self.reference.seconds)
        shares = [self.flops / each / rate for each, rate in zip(self.reference.seconds, self.rates, strict=True)]
        scores = self.reference.scores
        reference = {
            "seconds": ray * IMAGE_RAYS,
            "rays_per_second": 1 / ray,
            "strict_miou": strict_miou(scores),
            "miou_interval": miou_interval(scores),
            "psnr": mean_psnr(scores),
            "psnr_undarkened": statistics.fmean(self.undarkened_psnr),
            **mean_depth(scores),
            "matmul_share": statistics.median(shares),
            "matmul_gflops_per_second": statistics.median(self.rates) / 1e9,
            "flops_per_ray": self.flops,
            "chunk_rays": self.chunk_rays,
        }
        levels = {}
        for name, measured in self.levels.items():
            seconds = statistics.median(measured.seconds)
            levels[name] = {
                "seconds": seconds,
                "rays_per_second": IMAGE_RAYS / seconds,
                # Of each view by itself: both were measured within seconds of each other.
                "ratio": statistics.median(
                    one * IMAGE_RAYS / other
                    for one, other in zip(self.reference.seconds, measured.seconds, strict=True)
                ),
                "strict_miou": strict_miou(measured.scores),
                "miou_interval": miou_interval(measured.scores),
                "miou_difference": strict_miou(measured.scores) - strict_miou(scores),
                "miou_difference_interval": miou_interval(measured.scores, scores),
                "psnr": mean_psnr(measured.scores),
                **mean_depth(measured.scores),
            }
        return reference, levels


def render_level(
    model: SemanticRay, config: RenderConfig, view: BenchView, camera: Camera, *, depth: bool
) -> RenderedView:
    """What the node does for a request: show the sources to the field, encoded and with their depth, and render."""
    semantic_field = SemanticField(model, config)
    semantic_field.set_sources(view.source_views(depth=depth), view.features, ROOM_BOUNDS)
    return semantic_field.render(camera)


def compare(
    model: SemanticRay,
    views: list[BenchView],
    classes: int,
    *,
    levels: tuple[str, ...] = LEVELS,
    on_progress: Callable[[str], None] = print,
) -> Comparison:
    """Render every view by the reference (at the scored pixels) and by every level (whole), RGB and RGB-D.

    Seconds count as if a picture had IMAGE_RAYS pixels; `sray bench` renders pictures that have.
    """
    device = next(model.parameters()).device
    reference = ReferenceRenderer(model)
    reference.chunk_rays = _fastest_chunk(reference, views[0], device)
    on_progress(f"reference: {reference.chunk_rays} rays at once")
    variants = {f"{level}{'_depth' * depth}": (level, depth) for level in levels for depth in (False, True)}
    for level, depth in variants.values():  # warm up
        small = views[0].truth.camera.resized(32, 24)
        render_level(model, RenderConfig.preset(level), views[0], small, depth=depth)
    result = Comparison(
        Measured(),
        [],
        reference.chunk_rays,
        reference.flops(_encoded(reference.model, views[0]), _rays(reference.model, views[0], device)[:16]),
        {name: Measured() for name in variants},
    )
    for done, view in enumerate(views, start=1):
        before = matmul_rate(device)
        seconds, rays = timed(partial(_reference_rays, reference, view, device), device)
        result.rates.append((before + matmul_rate(device)) / 2)
        result.reference.seconds.append(seconds / view.pixels.shape[0])
        labels = void_where_unsure(rays, RenderConfig.preset("reference"))
        color, surface = rays.color.clamp(0, 1).cpu(), rays.depth.masked_fill(rays.opacity <= 0, math.nan).cpu()
        result.reference.scores.append(score(view, labels.cpu(), color, surface, classes))
        undarkened = rays.color / rays.opacity.clamp_min(1e-6).unsqueeze(-1)
        result.undarkened_psnr.append(score(view, labels.cpu(), undarkened.clamp(0, 1).cpu(), surface, classes).psnr)
        for name, (level, depth) in variants.items():
            seconds, picture = timed(
                partial(render_level, model, RenderConfig.preset(level), view, view.truth.camera, depth=depth), device
            )
            rendered = result.levels[name]
            rendered.seconds.append(seconds * IMAGE_RAYS / (view.truth.camera.width * view.truth.camera.height))
            label, color, surface = (
                _at(view, part) for part in (picture.labels, picture.color, picture.depth_with_void)
            )
            rendered.scores.append(score(view, label, color, surface, classes))
        latest = ", ".join(f"{name} {one.seconds[-1]:.2f}" for name, one in result.levels.items())
        on_progress(
            f"view {done}/{len(views)} {view.name}: reference {result.reference.seconds[-1] * IMAGE_RAYS:.0f} s an "
            f"image, {latest}"
        )
    return result


def score(
    view: BenchView,
    labels: UInt8[Tensor, " pixels"],
    color: Float[Tensor, "pixels 3"],
    depth: Float[Tensor, " pixels"],
    classes: int,
) -> ViewScore:
    """Score labels, colors (0..1) and depth (camera z in meters, also where void) rendered at the view's pixels."""
    assert view.truth.labels is not None
    truth = view.truth.image.reshape(-1, 3)[view.pixels].float() / 255
    known = view.truth.depth
    errors = NO_DEPTH if known is None else depth_scores(depth, known.reshape(-1)[view.pixels])
    return ViewScore.of(labels, view.truth.labels.reshape(-1)[view.pixels], classes, psnr(color, truth), errors)


def void_where_unsure(rays: RayOutput, config: RenderConfig) -> Tensor:
    """(rays) uint8 labels by the limits of a RenderConfig, as `SemanticField.render` applies them."""
    assert rays.logits is not None  # of rays that were asked for their color alone
    confidence, labels = torch.softmax(rays.logits, dim=-1).max(-1)
    return labels.to(torch.uint8).masked_fill(config.void(rays.opacity, rays.coverage, confidence), VOID)


def _reference_rays(reference: ReferenceRenderer, view: BenchView, device: torch.device) -> RayOutput:
    return reference.render(_encoded(reference.model, view), _rays(reference.model, view, device))


def _encoded(model: SemanticRay, view: BenchView) -> EncodedViews:
    return model.encode(view.source_views(depth=False), view.features)


def _rays(model: SemanticRay, view: BenchView, device: torch.device) -> RayBundle:
    return model.rays(view.truth.camera.to(device), view.pixel_positions.to(device), ROOM_BOUNDS)


def _at(view: BenchView, image: Tensor) -> Tensor:
    return image.flatten(0, 1)[view.pixels]


def _fastest_chunk(reference: ReferenceRenderer, view: BenchView, device: torch.device) -> int:
    """The candidates are tried on all rays of a view, after a round that warms up."""
    rays, encoded = _rays(reference.model, view, device), _encoded(reference.model, view)
    seconds: dict[int, float] = {}
    for warm in (False, True):
        for chunk in GPU_CHUNKS if device.type == "cuda" else CHUNKS:
            reference.chunk_rays = chunk
            spent, _ = timed(partial(reference.render, encoded, rays), device)
            if warm:
                seconds[chunk] = spent
    return min(seconds, key=lambda chunk: seconds[chunk])
