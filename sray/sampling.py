"""Where along a ray the model looks.

A ray runs from `near` to `far` (camera z, meters); a sample's normalized coordinate s in [0, 1] says how far along,
evenly in inverse depth or in log depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Spacing = Literal["inverse", "log"]

Bounds = tuple[float, float]
"""Near and far of a scene: camera z in meters. A scene has them whatever model looks at it."""

ROOM_BOUNDS: Bounds = (0.5, 8.0)
"""Of an indoor scene nothing is known of."""


LEAST_READINGS = 50
"""Depths that say too little of a scene, if there are fewer."""


def scene_bounds(depths: Float[Tensor, " readings"]) -> Bounds | None:
    """Near and far of a scene of which depths (camera z, meters; NaN and 0: none) are known; None if too few are.

    A fifth beyond the 1st and the 99th percentile: a stray reading is not the scene, and what the sources do not see
    may be somewhat nearer or farther than what they do.
    """
    known = depths[(depths > 0) & depths.isfinite()]
    if len(known) < LEAST_READINGS:
        return None
    nearest, farthest = np.quantile(known.cpu().numpy(), [0.01, 0.99]).tolist()  # torch's sorts, five times slower
    return max(0.1, 0.8 * nearest), max(0.5, 1.2 * farthest)


@dataclass(frozen=True)
class DepthRange:
    """Near and far along rays, and how a model spaces its samples between them.

    Raises ValueError unless 0 < near < far. Half way from 1 m to 4 m is 2 m in log depth, 1.6 m in inverse depth.
    """

    near: float
    """Camera z in meters, normalized coordinate 0."""
    far: float
    """Camera z in meters, normalized coordinate 1."""
    spacing: Spacing
    """What equal steps of the normalized coordinate are equal steps of."""

    def __post_init__(self) -> None:
        if not 0 < self.near < self.far < math.inf:
            raise ValueError(f"near is {self.near} m and far is {self.far} m; expected 0 < near < far")

    def depth_of(self, coordinates: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Camera z (meters) at normalized coordinates."""
        if self.spacing == "log":
            return self.near * torch.exp(coordinates * math.log(self.far / self.near))
        return 1 / ((1 - coordinates) / self.near + coordinates / self.far)

    def coordinate_of(self, depth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The inverse of `depth_of`; below 0 or above 1 outside the range."""
        if self.spacing == "log":
            return torch.log(depth / self.near) / math.log(self.far / self.near)
        return (1 / self.near - 1 / depth) / (1 / self.near - 1 / self.far)

    def clamp(self, depth: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Depths (meters) with those outside the range moved to its nearest end."""
        return depth.clamp(self.near, self.far)


def uniform_samples(
    rays: int, samples: int, *, device: torch.device, generator: torch.Generator | None = None
) -> Float[Tensor, "rays samples"]:
    """Centers of equal bins of [0, 1]; with a generator, a random place in each bin (training only)."""
    if generator is None:
        offsets = torch.full((rays, samples), 0.5, device=device)
    else:
        offsets = torch.rand(rays, samples, generator=generator, device=device)
    return (torch.arange(samples, device=device) + offsets) / samples


def joined_samples(
    coordinates: Float[Tensor, "rays samples"], whole_ray: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "rays more_samples"]:
    """The coordinates and so many evenly spread ones, ascending. A few samples around a surface lie within two pixels
    of a source view: attention among them alone sees nothing of the ray. Generator as in `uniform_samples`."""
    if not whole_ray:
        return coordinates
    even = uniform_samples(len(coordinates), whole_ray, device=coordinates.device, generator=generator)
    return torch.cat([coordinates, even], dim=-1).sort(dim=-1).values


def importance_samples(
    weights: Float[Tensor, "rays bins"], samples: int, *, generator: torch.Generator | None = None
) -> Float[Tensor, "rays samples"]:
    """New coordinates, ascending, by the inverse of the coarse weights' distribution over equal bins of [0, 1].

    Without a generator at the centers of equal shares of probability; with one, anywhere in each share.
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
