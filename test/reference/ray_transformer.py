"""IBRNet's ray transformer read aloud: positions are added, the samples attend, layer norm after the residual."""

from __future__ import annotations

import math

import torch
from reference.attention import multi_head


def positions(coordinate, channels):
    """Sines, then cosines, of the coordinate x 64 at falling frequencies."""
    half = channels // 2
    angles = [64.0 * coordinate * math.exp(-math.log(10_000.0) * k / half) for k in range(half)]
    return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]


def ray_transformer(features, seen, coordinates, layer, heads, norm):
    """One ray. `features`: samples x channels; `norm`: (scale, shift) of the layer norm."""
    samples, channels = features.shape
    placed = [
        features[k] + torch.tensor(positions(float(coordinates[k]), channels), dtype=torch.float64)
        for k in range(samples)
    ]
    attended = multi_head(placed, seen, layer, heads)
    scale, shift = norm
    rows = []
    for k in range(samples):
        added = [float(features[k, c] + attended[k, c]) for c in range(channels)]
        mean = sum(added) / channels
        variance = sum((value - mean) ** 2 for value in added) / channels
        rows.append([(added[c] - mean) / math.sqrt(variance + 1e-5) * scale[c] + shift[c] for c in range(channels)])
    return torch.tensor(rows, dtype=torch.float64)
