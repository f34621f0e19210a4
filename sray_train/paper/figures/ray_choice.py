"""Chooses the query rays that are shown, by geometry alone: what the network makes of them does not count."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sray_train.paper.figures.query_view import QueryRays

LONGEST = 4
"""Source views that are shown of a ray."""


def ray_for_attention(rays: QueryRays) -> int:
    """The ray whose reprojections run longest through the source pictures, about as far seen as hidden there."""
    length = lengths(rays)
    balanced = torch.ones_like(length)
    if rays.visible is not None:
        seen = (rays.visible & rays.projection.seen).sum(-1) / rays.projection.seen.sum(-1).clamp_min(1)
        balanced = 4 * seen * (1 - seen)
    return int((length * balanced).topk(min(LONGEST, len(length)), dim=0).values.sum(0).argmax())


def longest_views(rays: QueryRays, ray: int) -> list[int]:
    """The LONGEST views in which the ray runs longest, in the order of the sources."""
    chosen: list[int] = lengths(rays)[:, ray].argsort(descending=True, stable=True)[:LONGEST].tolist()
    return sorted(chosen)


def lengths(rays: QueryRays) -> Float[Tensor, "views rays"]:
    """Pixels of each reprojected ray inside its picture, where most of its samples are; 0 where few are."""
    seen, places = rays.projection.seen, rays.projection.pixels
    steps = (places[..., 1:, :] - places[..., :-1, :]).norm(dim=-1)
    length = torch.where(seen[..., 1:] & seen[..., :-1], steps, 0.0).sum(-1)
    return torch.where(seen.float().mean(-1) > 0.5, length, 0.0)


def rays_for_weights(rays: QueryRays, count: int, apart: float) -> list[int]:
    """Rays, `apart` pixels at least from each other, whose surface many source views show and some have hidden."""
    score = surface_score(rays)
    chosen: list[int] = []
    for ray in score.argsort(descending=True, stable=True).tolist():
        distances = (rays.pixels[chosen] - rays.pixels[ray]).norm(dim=-1)
        if len(chosen) < count and bool((distances >= apart).all()):
            chosen.append(ray)
    return chosen


def surface_score(rays: QueryRays) -> Float[Tensor, " rays"]:
    """Views that have the ray's surface in their picture; three times as much where some see it and some do not."""
    inside = rays.at_surface(rays.passed.valid)
    score = inside.sum(0).float()
    if rays.visible is not None:
        visible = rays.at_surface(rays.visible) & inside
        score += 3 * torch.minimum(visible.sum(0), (inside & ~visible).sum(0))
    return torch.where(rays.found, score, -1.0)
