"""A small 3D U-Net: what makes a neural encoding volume of a plane-swept cost volume. MVSNeRF, section 3.2."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class VolumeNetwork(nn.Module):
    """Two levels down and up again, with skips. Deviation: instance norm, as there is one volume at a time."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fine_level = _block(inputs, 8)
        self.middle_level = nn.Sequential(_block(8, 16, stride=2), _block(16, 16))
        self.coarse_level = nn.Sequential(_block(16, 32, stride=2), _block(32, 32))
        self.up_to_middle = _block(32 + 16, 16)
        self.up_to_fine = nn.Conv3d(16 + 8, outputs, 3, padding=1)

    def forward(
        self, volume: Float[Tensor, "inputs planes rows columns"]
    ) -> Float[Tensor, "outputs planes rows columns"]:
        fine = self.fine_level(volume.unsqueeze(0))
        middle = self.middle_level(fine)
        merged = self.up_to_middle(torch.cat([_like(self.coarse_level(middle), middle), middle], dim=1))
        encoded: Tensor = self.up_to_fine(torch.cat([_like(merged, fine), fine], dim=1))
        return encoded[0]


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride, padding=1), nn.InstanceNorm3d(outputs, affine=True), nn.ReLU()
    )


def _like(coarse: Tensor, fine: Tensor) -> Tensor:
    return F.interpolate(coarse, size=fine.shape[2:], mode="trilinear", align_corners=False)
