"""ResUNet: pictures in, quarter-resolution context features out. Table 12, L1-L19.

Every layer works on a grid whose cell i is centered at pixel stride * i; the last one has stride 4 and 32 channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

FEATURE_CHANNELS = 32
LEAST_SIDE = 17
"""Pixels of a picture's longer side: of less the encoder makes a single cell, which has no variance to normalize by."""


class ResBlock(nn.Module):
    """Two 3x3 convolutions with instance norm and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1),
            _norm(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            _norm(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), _norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class ResUNet(nn.Module):
    """The shared 2D network applied to every source view (Table 12)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 7, stride=2, padding=3), _norm(16), nn.ReLU())  # L1
        self.quarter = ResBlock(16, 32, stride=2)  # L2
        self.eighth = nn.Sequential(ResBlock(32, 64, stride=2), ResBlock(64, 64))  # L3-L4
        self.sixteenth = nn.Sequential(  # L5-L10
            ResBlock(64, 128, stride=2), *(ResBlock(128, 128) for _ in range(5))
        )
        self.squeeze = _convolution(128, 64)  # L11
        self.merge_eighth = nn.Sequential(_convolution(128, 64), _convolution(64, 32))  # L14-L15
        self.merge_quarter = nn.Sequential(_convolution(64, 32), _convolution(32, FEATURE_CHANNELS, 1))  # L18-L19

    def forward(self, images: Float[Tensor, "views 3 height width"]) -> Float[Tensor, "views channels rows columns"]:
        """Features of RGB pictures in 0..1; rows and columns are ceil(size / 4)."""
        quarter = self.quarter(self.stem(2 * images - 1))
        eighth = self.eighth(quarter)
        deep = self.squeeze(self.sixteenth(eighth))
        deep = self.merge_eighth(torch.cat([double(deep, eighth), eighth], dim=1))  # L12-L15
        features: Tensor = self.merge_quarter(torch.cat([double(deep, quarter), quarter], dim=1))  # L16-L19
        return features


def double(coarse: Tensor, like: Tensor) -> Tensor:
    """Bilinear upsampling onto the grid of `like`, whose cell j is centered at cell j / 2 of `coarse`.

    Not `interpolate`, which would treat both as resized images and shift by a fraction of a cell.
    Sizes need not be even: `like` has 2 n or 2 n - 1 cells where `coarse` has n. Raises ValueError otherwise.
    """
    for dimension in (2, 3):
        count, size = coarse.shape[dimension], like.shape[dimension]
        if size not in (2 * count, 2 * count - 1):
            raise ValueError(f"{count} cells cannot be doubled to {size}; expected {2 * count - 1} or {2 * count}")
        fine = coarse.new_empty([*coarse.shape[:dimension], size, *coarse.shape[dimension + 1 :]])
        here, there = coarse.movedim(dimension, 0), fine.movedim(dimension, 0)
        there[::2] = here
        there[1 : 2 * count - 1 : 2] = (here[:-1] + here[1:]) / 2
        if size == 2 * count:
            there[-1] = here[-1]
        coarse = fine
    return coarse


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


def _convolution(inputs: int, outputs: int, size: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, padding=size // 2), _norm(outputs))
