"""What stereo found of a keyframe, as a mapper keeps it and a session saves it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import torch
from torch import nn

from sray.stereo.depth import StereoDepth


@dataclass(frozen=True)
class FoundDepth:
    """In half precision, which is off by a two-thousandth of the depth at most: far less than stereo itself."""

    swept: StereoDepth
    """Depth from its partners."""
    agreed: StereoDepth
    """The same, after the keyframes around were asked what they see there (`sray.stereo.agreement`)."""
    cost: float
    """How badly its partners suited it (`sray.stereo.partners.partner_cost`); at least 0."""

    def to(self, device: torch.device) -> FoundDepth:
        return replace(self, swept=self.swept.to(device), agreed=self.agreed.to(device))

    @property
    def nbytes(self) -> int:
        return self.swept.nbytes + self.agreed.nbytes


def weights_digest(network: nn.Module) -> str:
    """A short name of a network's weights: depth that was found by the same ones need not be found again."""
    digest = hashlib.sha256()
    for name, weights in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(weights.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def same_weights(one: nn.Module | None, other: nn.Module | None) -> bool:
    """Whether two networks are one: there is none, or all their weights are equal."""
    if one is None or other is None:
        return one is other
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
