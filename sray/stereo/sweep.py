"""The plane sweep: how well partners agree with a keyframe if its surfaces lay at each of several depths.

Planes stand parallel to the keyframe's image. Matching features are unit vectors, so their product is a correlation.
Source: Collins, CVPR 1996; correlation instead of variance as in DeepVideoMVS. Twin: test/reference/stereo_sweep.py.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from sray.camera import FEATURE_STRIDE, Camera, cell_pixels, image_grid


def plane_depths(
    near: float, far: float, planes: int, *, device: torch.device | str = "cpu"
) -> Float[Tensor, " planes"]:
    """Depths of the planes, meters, even in log depth, from near to far. Raises ValueError unless 0 < near < far."""
    if not 0 < near < far:
        raise ValueError(f"near is {near} m and far is {far} m; expected 0 < near < far")
    return torch.exp(torch.linspace(math.log(near), math.log(far), planes, device=device))


def sweep(
    reference: Float[Tensor, "channels rows columns"],
    partners: Float[Tensor, "views channels rows columns"],
    camera: Camera,
    partner_cameras: Camera,
    depths: Float[Tensor, " planes"] | Float[Tensor, "planes rows columns"],
    stride: int = FEATURE_STRIDE,
) -> Float[Tensor, "3 planes rows columns"]:
    """Mean and best correlation over the partners that see a cell at a plane, and the share of partners that do.

    Cell i lies at pixel `stride` i. `depths`: of planes, or of every cell by itself. Where no partner sees a cell all
    three are 0.
    By the compiled kernel where there is one, at a fifth of the time. The cameras may be on another device than the
    features, as a mapper's are.
    """
    from sray.kernel import sweep as compiled  # the kernel's package imports the model, which imports this

    if compiled.serves(reference, partners, depths):
        return compiled.sweep(reference, partners, camera, partner_cameras, depths, stride)
    device = reference.device
    return plain_sweep(reference, partners, camera.to(device), partner_cameras.to(device), depths, stride)


def plain_sweep(
    reference: Float[Tensor, "channels rows columns"],
    partners: Float[Tensor, "views channels rows columns"],
    camera: Camera,
    partner_cameras: Camera,
    depths: Float[Tensor, " planes"] | Float[Tensor, "planes rows columns"],
    stride: int = FEATURE_STRIDE,
) -> Float[Tensor, "3 planes rows columns"]:
    """`sweep` in PyTorch: on any device, with gradients."""
    channels, rows, columns = reference.shape
    planes = depths.shape[0]
    cells = cell_pixels(rows, columns, reference.device, stride).to(reference)
    directions = camera.ray_directions(cells)
    total = reference.new_zeros(planes, rows * columns)
    best = reference.new_full((planes, rows * columns), -1.0)
    seen_by = reference.new_zeros(planes, rows * columns)
    flat, depths = reference.reshape(channels, 1, -1), depths.reshape(planes, -1)
    for view in range(partners.shape[0]):
        u, v, _, sees = looked_at(camera, partner_cameras[[view]], directions, depths)
        grid, seen = image_grid(torch.stack([u, v], dim=-1) / stride, columns, rows), sees[0]
        warped = F.grid_sample(partners[view : view + 1], grid, padding_mode="border", align_corners=False)[0]
        correlation = (warped * flat).sum(0)
        total = total + correlation * seen
        best = torch.where(seen, torch.maximum(best, correlation), best)
        seen_by = seen_by + seen
    agreed = torch.stack(
        [total / seen_by.clamp_min(1), torch.where(seen_by > 0, best, 0.0), seen_by / max(1, partners.shape[0])]
    )
    return agreed.reshape(3, planes, rows, columns)


def looked_at(
    camera: Camera,
    others: Camera,
    directions: Float[Tensor, "cells 3"],
    depths: Float[Tensor, "#planes #cells"],
) -> tuple[
    Float[Tensor, "views planes cells"],
    Float[Tensor, "views planes cells"],
    Float[Tensor, "views planes cells"],
    Bool[Tensor, "views planes cells"],
]:
    """Where other cameras see the points at these depths (meters) along a camera's directions, which have z = 1.

    Column, row (pixels) and depth in each of the others, and whether it sees the point; pixels and depth mean nothing
    where it does not. As `Camera.project` of the points, which are not made: there are millions.
    """
    matrix = others.projection
    slope = matrix[:, :, :3] @ directions.T
    start = matrix[:, :, :3] @ camera.center + matrix[:, :, 3]
    x, y, z = (start[:, axis, None, None] + depths * slope[:, axis, None] for axis in range(3))
    in_front = z > 1e-3
    scale = torch.where(in_front, z, 1.0).reciprocal()
    u, v = x * scale, y * scale
    inside = (u >= -0.5) & (u < others.width - 0.5) & (v >= -0.5) & (v < others.height - 0.5)
    return u, v, z, in_front & inside
