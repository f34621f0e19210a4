"""Plane sweep: how well source views match at each depth of a reference view's cells. MVSNet's cost volume.

MVSNet (Yao et al., ECCV 2018), as MVSNeRF (Chen et al., ICCV 2021, section 3.1) and NeuRay build on it: features are
warped onto fronto-parallel planes of the reference view's frustum, and their variance over the views is the cost.
Deviation: cell colors join the features, as those of an encoder trained on labels alone match poorly.
Reference twin: test/reference/plane_sweep.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sray.camera import FEATURE_STRIDE, Camera, cell_pixels, feature_grid
from sray.context import EncodedViews
from sray.encoder import FEATURE_CHANNELS
from sray_train.paper.baselines.picture_encoder import cell_features

MATCHED_CHANNELS = FEATURE_CHANNELS + 3
"""A cell's feature and its color."""


def matched_maps(views: EncodedViews) -> Float[Tensor, "views channels rows columns"]:
    """What is compared: features, and colors averaged around each cell's center."""
    colors = F.avg_pool2d(
        views.images, FEATURE_STRIDE + 1, FEATURE_STRIDE, padding=FEATURE_STRIDE // 2, count_include_pad=False
    )
    return torch.cat([cell_features(views), colors], dim=1)


@dataclass(frozen=True)
class Matches:
    """What views show of the voxels of a reference view's frustum."""

    variance: Float[Tensor, "channels planes rows columns"]
    """Biased, over the views that see a voxel. 0 where the reference alone sees it."""
    mean: Float[Tensor, "channels planes rows columns"]
    """Over the same views."""
    count: Float[Tensor, "planes rows columns"]
    """How many those are, the reference among them."""


def matched(
    maps: Float[Tensor, "views channels rows columns"],
    cameras: Camera,
    reference: int,
    others: list[int],
    depths: Float[Tensor, " planes"],
) -> Matches:
    """Warp the other views' maps onto planes of the reference's frustum. `depths`: its camera z, meters."""
    rows, columns = maps.shape[-2:]
    camera = cameras[reference]
    directions = camera.ray_directions(cell_pixels(rows, columns, maps.device).to(maps))
    points = camera.center + depths[:, None, None] * directions  # planes, cells
    count = torch.ones(len(depths), rows, columns, dtype=maps.dtype, device=maps.device)
    total = maps[reference].unsqueeze(1).expand(-1, len(depths), -1, -1)
    squares = total**2
    for other in others:
        seen = cameras[other].project(points)
        grid = feature_grid(seen.pixels, columns, rows).clamp(-2, 2).unsqueeze(0)
        warped = F.grid_sample(maps[other].unsqueeze(0), grid, padding_mode="border", align_corners=False)[0]
        valid = seen.seen.reshape(count.shape).to(maps)
        warped = warped.reshape(total.shape) * valid
        count, total, squares = count + valid, total + warped, squares + warped**2
    mean = total / count
    return Matches((squares / count - mean**2).clamp_min(0), mean, count)


def central_view(cameras: Camera) -> int:
    """The view with the least to all others in distance (meters) and in direction (radians at small angles)."""
    centers, forward = cameras.center, cameras.forward
    apart = torch.cdist(centers, centers) + torch.cdist(forward, forward)
    return int(apart.sum(-1).argmin())
