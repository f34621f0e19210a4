"""How closely the radial attention follows visibility, as numbers: Figure 6's claim, tested."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sray_train.paper.figures.fine_pass import FinePass
from sray_train.paper.figures.query_view import QueryRays

LEAST_SAMPLES = 8
"""Of a reprojected ray inside the view: fewer have no correlation worth a mean."""


@dataclass(frozen=True)
class Agreement:
    """Attention along reprojected rays against one thing it may follow: correlations (Pearson), means over rays."""

    what: str
    own: float
    """With that of the same ray."""
    other: float
    """With that of another ray of the picture: what depth along the ray explains by itself."""
    rays: int
    """Reprojected rays: a query ray counts once in each view."""


def attention_received(passed: FinePass) -> Float[Tensor, "views rays samples"]:
    """What a sample gets of its view's attention: mean over heads and over the samples that ask.

    Sums to 1 over the samples in the view. Raises ValueError if the model has no radial attention.
    """
    return received_per_head(passed).mean(2)


def received_per_head(passed: FinePass) -> Float[Tensor, "views rays heads samples"]:
    """The same, head by head."""
    if passed.attention is None:
        raise ValueError("the model has no radial attention; expected attention full or radial")
    asking = passed.valid[:, :, None, :, None].to(passed.attention)
    return (passed.attention * asking).sum(-2) / asking.sum(-2).clamp_min(1)


def agreements(rays: QueryRays) -> list[Agreement]:
    """With what is rendered and with what each view can see, as far as that is known."""
    passed = rays.passed
    received, weights = attention_received(passed), passed.output.weights
    reached = 1 - torch.cat([torch.zeros_like(weights[:, :1]), weights.cumsum(-1)[:, :-1]], -1)
    compared = {"compositing weight": weights, "light that gets there": reached}
    expanded = {what: values.expand_as(received) for what, values in compared.items()}
    if rays.visible is not None:
        expanded["visible from the source"] = rays.visible.to(received)
    counted = (passed.valid.sum(-1) >= LEAST_SAMPLES) & rays.found
    found = []
    for what, values in expanded.items():
        own = correlation(received, values, passed.valid)[counted]
        # Half the picture away: another surface, at the same samples.
        other = correlation(received, values.roll(len(rays.pixels) // 2, 1), passed.valid)[counted]
        found.append(Agreement(what, float(own.nanmean()), float(other.nanmean()), int(own.isfinite().sum())))
    return found


def correlation(
    one: Float[Tensor, "*shape samples"],
    other: Float[Tensor, "*shape samples"],
    counted: Bool[Tensor, "*shape samples"],
) -> Float[Tensor, "*shape"]:
    """Pearson's, over the counted samples; NaN where either does not vary."""
    share = counted.double() / counted.sum(-1, keepdim=True).clamp_min(1)
    one, other = one.double(), other.double()
    one = (one - (one * share).sum(-1, keepdim=True)) * counted
    other = (other - (other * share).sum(-1, keepdim=True)) * counted
    scale = ((one**2).sum(-1) * (other**2).sum(-1)).sqrt()
    together = (one * other).sum(-1)
    return torch.where(scale > 1e-12, together / scale, torch.nan).float()


def profile_about_surface(
    rays: QueryRays, reach: int = 16
) -> tuple[Float[Tensor, " places"], Float[Tensor, "heads places"]]:
    """Attention by distance from the surface, in samples (negative: nearer): the offsets, and per head the mean over
    all rays and views of the attention received, times the samples in the view (1: as if spread evenly)."""
    passed = rays.passed
    relative = received_per_head(passed) * passed.valid.sum(-1)[..., None, None]
    offsets = torch.arange(passed.depths.shape[1]) - rays.surface.unsqueeze(-1)
    counted = (passed.valid.sum(-1) >= LEAST_SAMPLES) & rays.found
    counted = passed.valid & counted.unsqueeze(-1)
    places = torch.arange(-reach, reach + 1)
    means = []
    for place in places:
        here = (counted & (offsets == place)).unsqueeze(2)
        means.append((relative * here).sum((0, 1, 3)) / here.sum().clamp_min(1).where(here.any(), torch.nan))
    return places.float(), torch.stack(means, -1)
