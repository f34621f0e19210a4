"""Visibility read aloud (NeuRay): the chance that a ray has hit something, as a mixture of logistics, one at a time."""

from __future__ import annotations

import math


def hit_before(coordinate, mixture):
    """`mixture`: (location, scale, share) of each logistic."""
    return sum(share / (1 + math.exp(-(coordinate - location) / scale)) for location, scale, share in mixture)


def visibility_and_hit(coordinate, mixture, interval):
    """That the stretch around a place is reached, and that the ray ends in it."""
    before = hit_before(coordinate - interval / 2, mixture)
    return 1 - before, hit_before(coordinate + interval / 2, mixture) - before


def weighted_mean_and_variance(values, weights):
    """Of one channel over the views: plain numbers."""
    total = sum(weights)
    if total == 0:
        return 0.0, 0.0
    mean = sum(weight * value for value, weight in zip(values, weights, strict=True)) / total
    return mean, sum(weight * (value - mean) ** 2 for value, weight in zip(values, weights, strict=True)) / total


def blend(scores, trust, colors):
    """Colors by trust_i exp(score_i); views of no trust have no say, and nobody's color is black."""
    shares = [t * math.exp(s) if t > 0 else 0.0 for s, t in zip(scores, trust, strict=True)]
    if sum(shares) == 0:
        return [0.0, 0.0, 0.0]
    return [sum(share * color[c] for share, color in zip(shares, colors, strict=True)) / sum(shares) for c in range(3)]
