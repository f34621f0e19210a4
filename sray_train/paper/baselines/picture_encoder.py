"""The encoder of a comparison system: Semantic-Ray's own choices, so that systems can be compared on one encoder."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import NonNegativeFloat
from pydantic.dataclasses import dataclass as checked_dataclass
from torch import Tensor

from sray.backbone import EncoderName
from sray.camera import AS_READ, FEATURE_STRIDE, cell_pixels, feature_grid
from sray.context import EncodedViews
from sray_train.configuration import CHECKED


@checked_dataclass(frozen=True, config=CHECKED)
class EncoderOptions:
    """What an experiment file sets of any comparison system's encoder; as in `SemanticRayConfig`."""

    encoder: EncoderName = "resunet"
    """The paper's ResUNet, or a backbone that ImageNet taught, with a light decoder."""
    reading_focal: NonNegativeFloat = 0.0
    """Focal length in pixels to which pictures are resized before the encoder reads them; 0: as they come."""
    smoothing: NonNegativeFloat = 0.0
    """Tolerance, in color units of 0..1, of the smoothing of features within surfaces; 0: none."""


def cell_features(views: EncodedViews) -> Float[Tensor, "views channels rows columns"]:
    """Features at the pictures' own cells: cell i lies at pixel 4 i, whatever the size at which the encoder read.

    Volumes and visibility maps live on these cells.
    """
    if views.reading_scale == AS_READ:
        return views.features
    rows, columns = (-(-size // FEATURE_STRIDE) for size in views.images.shape[-2:])
    pixels = cell_pixels(rows, columns, views.features.device).to(views.features)
    read_rows, read_columns = views.features.shape[-2:]
    grid = feature_grid(pixels, read_columns, read_rows, views.reading_scale).reshape(1, rows, columns, 2)
    return F.grid_sample(
        views.features, grid.expand(views.count, -1, -1, -1), padding_mode="border", align_corners=False
    )
