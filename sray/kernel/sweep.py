"""The plane sweep, compiled for this processor. `sray.stereo.sweep.plain_sweep` is its twin."""

from __future__ import annotations

import ctypes

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from sray.camera import Camera, cell_pixels
from sray.kernel.build import library

_MULTIPLE = 16
"""Channels are padded with zeros to a multiple of it, of what a register holds; 8 stay 8."""
_Floats = ctypes.POINTER(ctypes.c_float)


class _Sweep(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("views", "planes", "rows", "columns", "channels")),
        *((name, ctypes.c_int32) for name in ("stride", "depths_a_plane", "width", "height")),
        *((name, _Floats) for name in ("reference", "partners", "slope", "start", "depths", "found")),
    ]


def serves(reference: Tensor, *others: Tensor) -> bool:
    """Whether there is a kernel, and it can read these: float32 on the CPU, without gradients.

    `reference`: features that are swept, of two rows and columns at least.
    """
    tensors = (reference, *others)
    readable = all(each.device.type == "cpu" and each.dtype == torch.float32 for each in tensors)
    wants_gradients = torch.is_grad_enabled() and any(each.requires_grad for each in tensors)
    has_neighbors = min(reference.shape[-2:]) > 1
    return has_neighbors and readable and not wants_gradients and isinstance(library(), ctypes.CDLL)


def sweep(
    reference: Float[Tensor, "channels rows columns"],
    partners: Float[Tensor, "views channels rows columns"],
    camera: Camera,
    partner_cameras: Camera,
    depths: Float[Tensor, " planes"] | Float[Tensor, "planes rows columns"],
    stride: int,
) -> Float[Tensor, "3 planes rows columns"]:
    """As `sray.stereo.sweep.sweep`, for tensors that it `serves`."""
    kernel = library()
    assert isinstance(kernel, ctypes.CDLL)
    channels, rows, columns = reference.shape
    views, planes = partners.shape[0], depths.shape[0]
    padding = 0 if channels == 8 else -channels % _MULTIPLE
    matrix = partner_cameras.projection
    directions = camera.ray_directions(cell_pixels(rows, columns, reference.device, stride))
    found = torch.empty(3, planes, rows, columns)
    # Named here so that they live until the kernel returns.
    arrays = (
        F.pad(reference.flatten(1).T, (0, padding)).contiguous(),
        F.pad(partners.flatten(2).transpose(1, 2), (0, padding)).contiguous(),
        (matrix[:, :, :3] @ directions.T).contiguous(),
        (matrix[:, :, :3] @ camera.center + matrix[:, :, 3]).contiguous(),
        depths.contiguous(),
        found,
    )
    size = (partner_cameras.width, partner_cameras.height)
    work = _Sweep(
        views, planes, rows, columns, channels + padding, stride, depths[0].numel(), *size,
        *(ctypes.cast(each.data_ptr(), _Floats) for each in arrays),
    )  # fmt: skip
    if kernel.sray_sweep(ctypes.byref(work), ctypes.c_int32(torch.get_num_threads())):
        raise ValueError(f"the kernel refused {channels + padding} channels of {rows} x {columns} cells")
    return found
