"""Refinement: depth once more, among a few depths around the one that a sweep found.

A sweep's planes stand 6 % of the depth apart, and it matches at a quarter of the picture's resolution. Here each cell
at half of it is matched at depths of its own, 1.25 % apart. Source: the narrowing depth ranges of cascaded cost
volumes (CasMVSNet, Gu et al., CVPR 2020), in 2D and with correlations, as the sweep is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sray.camera import Camera
from sray.encoder import double
from sray.stereo.depth import DEPTH_STRIDE, StereoDepth
from sray.stereo.layers import Residual, convolution
from sray.stereo.sweep import sweep

REACH = 0.1
"""Largest offset in log depth: a tenth of the depth, one and a half planes of a sweep."""
OFFSETS = 17
"""Depths tried for each cell, evenly from -REACH to REACH in log depth."""
FINE_CHANNELS = 8
WINDOWS = (3, 9, 27)
"""Cells across: depth is compared with its mean over squares of these sizes. Surfaces are smooth where nothing
matches."""


class Refinement(nn.Module):
    """Log-probabilities of offsets in log depth, cell by cell, from fine correlations and the shape of the depth."""

    def __init__(self, half_channels: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            convolution(half_channels, half_channels), nn.Conv2d(half_channels, FINE_CHANNELS, 3, padding=1)
        )
        read = 3 * OFFSETS + half_channels + len(WINDOWS) + 1
        self.first = nn.Sequential(convolution(read, 32, 1), Residual(32))
        self.around = nn.Sequential(convolution(32, 48, stride=2), Residual(48), nn.Conv2d(48, 32, 1))
        self.last = nn.Sequential(convolution(64, 32), nn.Conv2d(32, OFFSETS, 1))

    def features(
        self, half: Float[Tensor, "views half_channels rows columns"]
    ) -> Float[Tensor, "views fine_channels rows columns"]:
        """Unit vectors that are matched, at half resolution."""
        return F.normalize(self.fine(half).float(), dim=1)

    def forward(
        self,
        half: Float[Tensor, "1 half_channels rows columns"],
        fine: Float[Tensor, "fine_channels rows columns"],
        partners: Float[Tensor, "views fine_channels rows columns"],
        camera: Camera,
        partner_cameras: Camera,
        found: StereoDepth,
    ) -> Float[Tensor, "offsets rows columns"]:
        """Of the offsets from the depth that a sweep `found`. `half`: what the network reads of the keyframe itself;
        `fine`, `partners`: `features` of the keyframe and of its partners."""
        log_depth, device = found.depth.log(), found.depth.device
        tried = (log_depth + offsets(device)[:, None, None]).exp()
        with torch.autocast(device.type, enabled=False):
            agreed = sweep(fine.float(), partners.float(), camera, partner_cameras, tried, DEPTH_STRIDE)
            shape = [(log_depth - _mean_around(log_depth, window)) / REACH for window in WINDOWS]
        read = [agreed.flatten(0, 1), torch.stack([*shape, found.confidence])]
        near = self.first(torch.cat([*(each[None].to(half) for each in read), half], 1))
        logits = self.last(torch.cat([near, double(self.around(near), near)], 1))
        return F.log_softmax(logits[0].float(), 0)


def offsets(device: torch.device) -> Float[Tensor, " offsets"]:
    """In log depth, ascending."""
    return torch.linspace(-REACH, REACH, OFFSETS, device=device)


def refined(
    depth: Float[Tensor, "rows columns"], log_probabilities: Float[Tensor, "offsets rows columns"]
) -> Float[Tensor, "rows columns"]:
    """The depth moved by the mean offset."""
    return depth * mean_offset(log_probabilities).exp()


def mean_offset(log_probabilities: Float[Tensor, "offsets *cells"]) -> Float[Tensor, "*cells"]:
    """In log depth."""
    along = offsets(log_probabilities.device).reshape(-1, *(1,) * (log_probabilities.ndim - 1))
    return (log_probabilities.exp() * along).sum(0)


def _mean_around(values: Float[Tensor, "rows columns"], window: int) -> Float[Tensor, "rows columns"]:
    """Over the part of the square that lies within the picture."""
    rows, columns = (_means(size, window, values.device) for size in values.shape)
    return rows @ values @ columns.T  # a tenth of the time of pooling


def _means(size: int, window: int, device: torch.device) -> Float[Tensor, "size size"]:
    """Times a column of values: their means over a window around each."""
    place = torch.arange(size, device=device)
    near = ((place[:, None] - place).abs() <= window // 2).float()
    return near / near.sum(1, keepdim=True)
