"""Depth as sensors and stereo would give it, made from true depth: what a model that reads depth trains with.

A network that only ever saw true depth would believe the noisy one of a robot. Errors come in patches and are larger
where the confidence says so; surfaces have holes, some views have no depth, and one target in four has none at all, so
that a render from color alone stays as good as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sray.frames import SourceViews

NO_DEPTH = 0.25
"""How often no view has depth."""
NO_VIEW_DEPTH = 0.1
"""How often one of the views has none."""
WORST = 0.06
"""Standard deviation of the relative error where depth is worst: about that of stereo. At best it is 0."""
HALF_SURE = 0.02
"""Standard deviation of the relative error at which the confidence is one half: sray/visibility.py's tolerance."""
PATCHES = 6
"""Patches, along the shorter side, that an error reaches over."""
HOLES = 3
"""Rectangles without depth a view, at most, each up to a third of the picture wide and high."""


def worn(views: SourceViews, generator: torch.Generator) -> SourceViews:
    """The views with errors in their depth and a confidence that tells of them; as they are if they have no depth."""
    if views.depth is None:
        return views
    if _chance(NO_DEPTH, generator):
        return replace(views, depth=None, depth_confidence=None)
    count, height, width = views.depth.shape
    # Half of all targets have depth that is good everywhere, as sensors have it; the others' is bad in patches.
    worst = WORST * float(torch.rand((), generator=generator)) ** 2
    error = worst * _patches(torch.rand, count, height, width, generator)
    depth = views.depth * torch.exp(error * _patches(torch.randn, count, height, width, generator))
    confidence = 1 / (1 + (error / HALF_SURE) ** 2)
    for view in range(count):
        if _chance(NO_VIEW_DEPTH, generator):
            depth[view] = torch.nan
        for _ in range(int(torch.randint(0, HOLES + 1, (), generator=generator))):
            depth[view][_rectangle(height, width, generator)] = torch.nan
    return replace(views, depth=depth, depth_confidence=confidence)


def _patches(
    draw: Callable[..., Tensor], count: int, height: int, width: int, generator: torch.Generator
) -> Float[Tensor, "views height width"]:
    rows, columns = (max(2, round(PATCHES * side / min(height, width))) for side in (height, width))
    coarse = draw(count, 1, rows, columns, generator=generator)
    return F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)[:, 0]


def _chance(probability: float, generator: torch.Generator) -> bool:
    return float(torch.rand((), generator=generator)) < probability


def _rectangle(height: int, width: int, generator: torch.Generator) -> tuple[slice, slice]:
    sides = []
    for side in (height, width):
        first, share = torch.rand(2, generator=generator).tolist()
        length = max(1, round(share * side / 3))
        start = round(first * (side - length))
        sides.append(slice(start, start + length))
    return sides[0], sides[1]
