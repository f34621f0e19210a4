"""The plane sweep: how well partners agree with a keyframe if its surfaces lay at each of several depths.

Planes stand parallel to the keyframe's image. Matching features are unit vectors, so their product is a correlation.
Source: Collins, CVPR 1996; correlation instead of variance as in DeepVideoMVS. Twin: test/reference/stereo_sweep.py.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera, cell_pixels, feature_grid


def plane_depths(
    near: float, far: float, planes: int, *, device: torch.device | str = "cpu"
) -> Float[Tensor, " planes"]:
    """Depths of the planes, metres, even in log depth, from near to far. Raises ValueError unless 0 < near < far."""
    if not 0 < near < far:
        raise ValueError(f"near is {near} m and far is {far} m; expected 0 < near < far")
    return torch.exp(torch.linspace(math.log(near), math.log(far), planes, device=device))


def sweep(
    reference: Float[Tensor, "channels rows columns"],
    partners: Float[Tensor, "views channels rows columns"],
    camera: Camera,
    partner_cameras: Camera,
    depths: Float[Tensor, " planes"],
) -> Float[Tensor, "3 planes rows columns"]:
    """Mean and best correlation over the partners that see a cell at a plane, and the share of partners that do.

    Cells are those of quarter-resolution features (cell i at pixel 4 i). Where no partner sees a cell all three are 0.
    """
    channels, rows, columns = reference.shape
    planes = depths.shape[0]
    cells = cell_pixels(rows, columns, reference.device).to(reference)
    directions = camera.ray_directions(cells)
    total = reference.new_zeros(planes, rows * columns)
    best = reference.new_full((planes, rows * columns), -1.0)
    seen_by = reference.new_zeros(planes, rows * columns)
    flat = reference.reshape(channels, 1, -1)
    for view in range(partners.shape[0]):
        pixels, seen = _swept_pixels(camera, partner_cameras[view], directions, depths)
        grid = feature_grid(pixels, columns, rows).reshape(1, planes, rows * columns, 2)
        warped = F.grid_sample(partners[view : view + 1], grid, padding_mode="border", align_corners=False)[0]
        correlation = (warped * flat).sum(0)
        total = total + correlation * seen
        best = torch.where(seen, torch.maximum(best, correlation), best)
        seen_by = seen_by + seen
    agreed = torch.stack(
        [total / seen_by.clamp_min(1), torch.where(seen_by > 0, best, 0.0), seen_by / max(1, partners.shape[0])]
    )
    return agreed.reshape(3, planes, rows, columns)


def _swept_pixels(camera: Camera, partner: Camera, directions: Tensor, depths: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (planes, cells, 2) of a partner that look at the cells' points on each plane, and whether it sees them."""
    matrix = partner.projection
    slope = directions @ matrix[:, :3].T
    start = matrix[:, :3] @ camera.centre + matrix[:, 3]
    homogeneous = start + depths[:, None, None] * slope
    z = homogeneous[..., 2:]
    in_front = z > 1e-3
    pixels = homogeneous[..., :2] / torch.where(in_front, z, 1.0)
    u, v = pixels.unbind(-1)
    inside = (u >= -0.5) & (u < partner.width - 0.5) & (v >= -0.5) & (v < partner.height - 0.5)
    return pixels, in_front[..., 0] & inside
