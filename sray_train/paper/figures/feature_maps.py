"""The encoder's features as colors: three principal components of all pictures together. Figure 6, left."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sray_train.tools.report.pictures import Picture

OUTLIERS = 0.02
"""Share of the cells, at either end of a component, that may saturate."""


def feature_colors(features: Float[Tensor, "views channels rows columns"]) -> tuple[list[Picture], float]:
    """A picture for each view, and the share of the features' variance that the colors show.

    One projection for all views: what looks alike to the encoder has one color in all of them. The same features
    always have the same colors: a component's sign is that of its largest entry.
    """
    cells = features.double().movedim(1, -1)
    flat = cells.reshape(-1, cells.shape[-1])
    flat = flat - flat.mean(0)
    variances, directions = torch.linalg.eigh(flat.T @ flat)
    directions = directions[:, -3:].flip(-1)
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    components = flat @ (directions * largest.sign())
    low, high = (torch.quantile(components, share, dim=0) for share in (OUTLIERS, 1 - OUTLIERS))
    scaled = ((components - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    colors = (255 * scaled).round().to(torch.uint8).reshape(*cells.shape[:-1], -1)
    shown = float(variances[-3:].sum() / variances.sum().clamp_min(1e-12))
    return [np.ascontiguousarray(picture) for picture in colors.numpy()], shown
