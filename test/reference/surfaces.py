"""Distances between two sets of points, each point against each."""

from __future__ import annotations

import math


def surface_scores(points, truth, within):
    """Accuracy, completeness (meters), precision, recall, F-score of points (lists of xyz) that are thinned already."""
    to_truth = [min(math.dist(point, other) for other in truth) for point in points]
    to_map = [min(math.dist(other, point) for point in points) for other in truth]
    precision = sum(distance <= within for distance in to_truth) / len(to_truth)
    recall = sum(distance <= within for distance in to_map) / len(to_map)
    both = precision + recall
    return (
        sum(to_truth) / len(to_truth),
        sum(to_map) / len(to_map),
        precision,
        recall,
        2 * precision * recall / both if both else 0.0,
    )
