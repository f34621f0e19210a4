"""Eq. 12 and 17: the nearest point of {tau/m <= w_i <= 1/(tau m), sum w = 1}, twice over, by unlike means."""

from __future__ import annotations

import itertools


def by_enumeration(weights, tau):
    """Try every way of putting each weight at its lower bound, its upper bound or in between; keep the nearest."""
    count = len(weights)
    if count == 0:
        return []
    low, high = tau / count, 1 / (tau * count)
    best, best_distance = None, float("inf")
    for places in itertools.product(("low", "free", "high"), repeat=count):
        free = [index for index in range(count) if places[index] == "free"]
        fixed = sum(low if place == "low" else high for place in places if place != "free")
        # Among points with these entries fixed, the nearest one shifts all free entries alike.
        shift = (1 - fixed - sum(weights[index] for index in free)) / len(free) if free else 0.0
        candidate = [
            {"low": low, "high": high, "free": weights[index] + shift}[place] for index, place in enumerate(places)
        ]
        feasible = abs(sum(candidate) - 1) < 1e-9 and all(low - 1e-12 <= w <= high + 1e-12 for w in candidate)
        distance = sum((a - b) ** 2 for a, b in zip(candidate, weights, strict=True))
        if feasible and distance < best_distance:
            best, best_distance = candidate, distance
    assert best is not None
    return best


def by_bisection(weights, tau):
    """Lower all weights by the same amount, clipped to the bounds; the sum falls, so bisect for a sum of 1."""
    count = len(weights)
    if count == 0:
        return []
    low, high = tau / count, 1 / (tau * count)

    def clipped(theta):
        return [min(max(w - theta, low), high) for w in weights]

    below, above = min(weights) - high - 1, max(weights) - low + 1
    for _ in range(200):
        middle = (below + above) / 2
        if sum(clipped(middle)) > 1:
            below = middle
        else:
            above = middle
    return clipped((below + above) / 2)
