"""The inverse of a piecewise constant distribution over equal bins of [0, 1], read aloud."""

from __future__ import annotations


def invert(weights, quantiles, floor):
    """Where the distribution has gathered each share of its mass.

    `floor` is added to every bin: a surface the weights missed must still have a chance.
    """
    bins = len(weights)
    masses = [weight + floor for weight in weights]
    total = sum(masses)
    found = []
    for quantile in quantiles:
        gathered = 0.0
        for index, mass in enumerate(masses):
            share = mass / total
            if gathered + share > quantile or index == bins - 1:
                # The mass is even within the bin.
                found.append((index + (quantile - gathered) / share) / bins)
                break
            gathered += share
    return found


def centers(count):
    """The middles of `count` equal shares of probability."""
    return [(index + 0.5) / count for index in range(count)]
