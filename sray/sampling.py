"""Where along a ray the model looks.

A ray runs from `near` to `far` (camera z, metres); a sample's normalised coordinate s in [0, 1] says how far along,
evenly in inverse depth or in log depth.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Spacing = Literal["inverse", "log"]

ROOM_BOUNDS = (0.5, 8.0)
"""Near and far (metres, camera z) of an indoor scene nothing is known of."""


def depth_of(
    coordinates: Float[Tensor, "*shape"], near: float, far: float, spacing: Spacing
) -> Float[Tensor, "*shape"]:
    """Camera z (metres) at normalised coordinates. Raises ValueError unless 0 < near < far."""
    _check_bounds(near, far)
    if spacing == "log":
        return near * torch.exp(coordinates * math.log(far / near))
    return 1 / ((1 - coordinates) / near + coordinates / far)


def coordinate_of(depth: Float[Tensor, "*shape"], near: float, far: float, spacing: Spacing) -> Float[Tensor, "*shape"]:
    """The inverse of `depth_of`; below 0 or above 1 outside the bounds. Raises ValueError unless 0 < near < far."""
    _check_bounds(near, far)
    if spacing == "log":
        return torch.log(depth / near) / math.log(far / near)
    return (1 / near - 1 / depth) / (1 / near - 1 / far)


def uniform_samples(
    rays: int, samples: int, *, device: torch.device, generator: torch.Generator | None = None
) -> Float[Tensor, "rays samples"]:
    """Centres of equal bins of [0, 1]; with a generator, a random place in each bin (training only)."""
    if generator is None:
        offsets = torch.full((rays, samples), 0.5, device=device)
    else:
        offsets = torch.rand(rays, samples, generator=generator, device=device)
    return (torch.arange(samples, device=device) + offsets) / samples


def importance_samples(
    weights: Float[Tensor, "rays bins"], samples: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "rays samples"]:
    """New coordinates, ascending, by the inverse of the coarse weights' distribution over equal bins of [0, 1].

    Without a generator at the centres of equal shares of probability; with one, anywhere in each share.
    A ray whose weights are all zero is sampled evenly. Gradients do not flow into the weights.
    """
    rays, bins = weights.shape
    # A little everywhere, so that a surface the coarse pass missed can still be found, and no division by zero.
    density = weights.detach() + 1e-3 / bins
    cumulative = (density / density.sum(-1, keepdim=True)).cumsum(-1)
    cumulative = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative], dim=-1)
    cumulative[:, -1] = 1  # rounding must not leave a quantile beyond the last bin
    quantiles = uniform_samples(rays, samples, device=weights.device, generator=generator)
    upper = torch.searchsorted(cumulative, quantiles, right=True).clamp(1, bins)
    below, above = cumulative.gather(-1, upper - 1), cumulative.gather(-1, upper)
    return (upper - 1 + (quantiles - below) / (above - below).clamp_min(1e-12)) / bins


def _check_bounds(near: float, far: float) -> None:
    if not 0 < near < far:
        raise ValueError(f"near is {near} m and far is {far} m; expected 0 < near < far")
