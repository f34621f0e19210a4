"""What the bench renders: views of held-out rooms, their source views, and the fixed random pixels that are scored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from sray.errors import FileError
from sray.exposure import color_gains
from sray.field import SemanticField
from sray.frames import Frame, SourceViews
from sray.sampling import ROOM_BOUNDS
from sray.view_selection import evenly_spread
from sray_train.data.scene import Scene

SEED = 20_230
"""Of the pixels; the same pixels whatever is measured."""


@dataclass(frozen=True)
class BenchView:
    """One target and what it is rendered from."""

    name: str
    truth: Frame
    sources: SourceViews
    """With depth, as a sensor measures it."""
    rgb: SourceViews
    """The same without it; with depth from stereo between them, where the model has stereo, found before any render."""
    features: Float[Tensor, "views channels rows columns"]
    """Of the sources, encoded once; no timing includes them."""
    pixels: Int64[Tensor, " pixels"]
    """Scored pixels, row by row."""

    def source_views(self, *, depth: bool) -> SourceViews:
        return self.sources if depth else self.rgb

    @property
    def pixel_positions(self) -> Float[Tensor, "pixels 2"]:
        """Column and row."""
        width = self.truth.camera.width
        return torch.stack([self.pixels % width, self.pixels // width], dim=-1).float()


def bench_views(
    field: SemanticField, scenes: list[Scene], *, targets: int, views: int, pixels: int, source_size: tuple[int, int]
) -> list[BenchView]:
    """Evenly spread targets of every scene, each with its nearest `views` frames resized to (width, height).

    Raises FileError if a frame lacks labels or depth.
    """
    generator = torch.Generator().manual_seed(SEED)
    return [
        bench_view(field, scene, target, views, pixels, source_size, generator)
        for scene in scenes
        for target in evenly_spread(targets, len(scene.frames))
    ]


def bench_view(
    field: SemanticField,
    scene: Scene,
    target: int,
    views: int,
    pixels: int,
    source_size: tuple[int, int],
    generator: torch.Generator,
) -> BenchView:
    """One target of a scene and its nearest frames. Raises FileError if a frame lacks labels or depth."""
    truth = scene.frames[target]
    frames = [scene.frames[index].resized(*source_size) for index in scene.nearest(target, views)]
    sources = SourceViews.from_frames(frames)
    if sources.depth is None or truth.labels is None:
        raise FileError(f"{scene.name} has frames without depth or labels", "both, which the bench needs")
    chosen = torch.randperm(truth.camera.width * truth.camera.height, generator=generator)[:pixels]
    sources = sources.to(field.device)
    features = torch.stack([field.encode(frame.image, sources.camera) for frame in frames])
    rgb = field.model.with_stereo(replace(sources, depth=None), ROOM_BOUNDS, features).to(field.device)
    sources, rgb = (replace(views, gains=color_gains(views)) for views in (sources, rgb))
    return BenchView(f"{scene.name}/{target}", truth, sources, rgb, features, chosen)
