"""Eq. 2 and 13 read aloud: one ray, one sample at a time. Torch scalars, so that autograd can follow."""

from __future__ import annotations

import torch


def deltas_of(coordinates):
    """64 times the gap to the next sample; the last sample repeats the gap before it."""
    gaps = [64 * (coordinates[k + 1] - coordinates[k]) for k in range(len(coordinates) - 1)]
    return [*gaps, gaps[-1]]


def weights_of(density, deltas):
    """T_k alpha_k for each sample of one ray."""
    weights, transmittance = [], torch.ones((), dtype=torch.float64)
    for sigma, delta in zip(density, deltas, strict=True):
        alpha = 1 - torch.exp(-sigma * delta)
        weights.append(transmittance * alpha)
        transmittance = transmittance * (1 - alpha)
    return weights


def composite(density, deltas, values):
    """(rays x channels) sums of (rays x samples x channels) values, seen through the density in front of them."""
    rays, samples, channels = values.shape
    out = torch.zeros(rays, channels, dtype=torch.float64)
    for ray in range(rays):
        weights = weights_of(density[ray], deltas[ray])
        for channel in range(channels):
            out[ray, channel] = sum(weights[k] * values[ray, k, channel] for k in range(samples))
    return out
