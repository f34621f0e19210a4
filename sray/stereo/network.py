"""StereoNetwork: matching features, and depth with its confidence from a plane sweep's correlations.

Everything is 2D: the planes are channels. Matching features are the network's own, as what is alike in meaning need
not match; the model's encoder adds what it knows of the picture (a floor, a wall), which tells depth where no texture
matches. Sources: DeepVideoMVS (Duzceker et al., CVPR 2021), SimpleRecon (Sayed et al., ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sray.camera import Camera
from sray.encoder import FEATURE_CHANNELS, double
from sray.sampling import Bounds
from sray.stereo.depth import StereoDepth
from sray.stereo.layers import Residual, convolution
from sray.stereo.refinement import Refinement, refined
from sray.stereo.sweep import plane_depths, sweep

PLANES = 48
MATCHING_CHANNELS = 16
WINDOW = 2
"""Planes on either side of the likeliest one that depth is read from: a second, distant peak must not pull it."""


class StereoNetwork(nn.Module):
    """Depth of keyframes from partners. `features` once a picture, `find` once a keyframe."""

    def __init__(self, planes: int = PLANES, *, refines: bool = False) -> None:
        """`refines`: whether depth is found once more, around what the sweep found (`sray.stereo.refinement`)."""
        super().__init__()
        self.planes = planes
        self.to_half = nn.Sequential(convolution(3, 24, 5, stride=2), nn.Conv2d(24, 24, 3, padding=1), nn.ReLU())
        self.to_quarter = convolution(24, 48, stride=2)
        self.context = nn.Conv2d(FEATURE_CHANNELS, 48, 1)
        self.quarter = nn.Sequential(Residual(48), Residual(48))
        self.to_eighth = nn.Sequential(convolution(48, 64, stride=2), Residual(64), Residual(64))
        self.matching = nn.Sequential(convolution(112, 48), nn.Conv2d(48, MATCHING_CHANNELS, 1))
        self.volume = nn.Sequential(convolution(3 * planes + 48, 72, 1), Residual(72))
        self.down_eighth = nn.Sequential(convolution(72, 96, stride=2), Residual(96))
        self.down_sixteenth = nn.Sequential(convolution(96, 128, stride=2), Residual(128), Residual(128))
        self.up_eighth = nn.Sequential(convolution(128 + 96 + 64, 96, 1), Residual(96))
        self.up_quarter = nn.Sequential(convolution(96 + 72, 72, 1), Residual(72))
        self.carry_half = nn.Conv2d(72, 24, 1)
        self.up_half = nn.Sequential(convolution(24 + 24, 32))
        self.quarter_logits = nn.Conv2d(72, planes, 1)
        self.half_logits = nn.Conv2d(32, planes, 1)
        self.refinement = Refinement(24) if refines else None

    def features(
        self,
        images: Float[Tensor, "views 3 height width"],
        context: Float[Tensor, "views channels rows columns"],
    ) -> StereoFeatures:
        """What is kept of each picture (RGB in 0..1) for its own sweep and those of others.

        `context`: the encoder's features at the cells of the pictures' quarter resolution (`RayModel.stereo_features`).
        """
        half = self.to_half(_standardized(images))
        quarter = self.quarter(self.to_quarter(half) + self.context(context))
        eighth = self.to_eighth(quarter)
        matching = self.matching(torch.cat([quarter, double(eighth, quarter)], 1))
        fine = None if self.refinement is None else self.refinement.features(half)
        kept = MatchingFeatures(F.normalize(matching.float(), dim=1), fine)
        return StereoFeatures(kept, half, quarter, eighth)

    def find(
        self,
        reference: StereoFeatures,
        partners: MatchingFeatures,
        camera: Camera,
        partner_cameras: Camera,
        bounds: Bounds,
    ) -> StereoDepth:
        """A keyframe's depth, refined where the network refines. Arguments as of `forward`."""
        found = self.read(self(reference, partners, camera, partner_cameras, bounds), bounds)
        if self.refinement is None:
            return found
        moved = self.refine(reference, partners, camera, partner_cameras, found)
        return replace(found, depth=refined(found.depth, moved))

    def refine(
        self,
        reference: StereoFeatures,
        partners: MatchingFeatures,
        camera: Camera,
        partner_cameras: Camera,
        found: StereoDepth,
    ) -> Float[Tensor, "offsets half_rows half_columns"]:
        """Log-probabilities of offsets from what a sweep found. Raises ValueError without a refinement."""
        own, theirs = reference.matching.half, partners.half
        if self.refinement is None or own is None or theirs is None:
            raise ValueError("this stereo network has no refinement")
        likelihood: Tensor = self.refinement(reference.half, own[0], theirs, camera, partner_cameras, found)
        return likelihood

    def forward(
        self,
        reference: StereoFeatures,
        partners: MatchingFeatures,
        camera: Camera,
        partner_cameras: Camera,
        bounds: Bounds,
    ) -> Float[Tensor, "planes half_rows half_columns"]:
        """Log-probabilities of the planes at half resolution.

        `reference`: of the keyframe alone. `partners`: what was kept of the partners. `bounds`: meters.
        """
        depths = plane_depths(*bounds, self.planes, device=partners.quarter.device)
        with torch.autocast(depths.device.type, enabled=False):
            own, theirs = reference.matching.quarter[0].float(), partners.quarter.float()
            agreed = sweep(own, theirs, camera, partner_cameras, depths)
        # Of the features' type before they are joined: joined in float32, all is converted.
        volume = agreed.flatten(0, 1)[None].to(reference.quarter)
        quarter = self.volume(torch.cat([volume, reference.quarter], 1))
        eighth = self.down_eighth(quarter)
        sixteenth = self.down_sixteenth(eighth)
        eighth = self.up_eighth(torch.cat([double(sixteenth, eighth), eighth, reference.eighth], 1))
        quarter = self.up_quarter(torch.cat([double(eighth, quarter), quarter], 1))
        half = self.up_half(torch.cat([double(self.carry_half(quarter), reference.half), reference.half], 1))
        logits = double(self.quarter_logits(quarter), reference.half) + self.half_logits(half)
        return F.log_softmax(logits[0].float(), 0)

    def read(self, log_probabilities: Float[Tensor, "planes rows columns"], bounds: Bounds) -> StereoDepth:
        """Depth, as the mean log depth of the planes around the likeliest, and how sure it is."""
        probabilities = F.pad(log_probabilities.exp(), (0, 0, 0, 0, WINDOW, WINDOW))
        # The likeliest group of planes, not the likeliest plane: a surface between two planes shares itself.
        before, here, after = (probabilities[WINDOW + step : WINDOW + step + self.planes] for step in (-1, 0, 1))
        peak = (before + here + after).max(0).indices  # argmax takes twice as long
        around = peak + torch.arange(2 * WINDOW + 1, device=peak.device)[:, None, None]
        window = probabilities.gather(0, around)
        mass = window.sum(0)
        log_depths = F.pad(plane_depths(*bounds, self.planes, device=peak.device).log(), (WINDOW, WINDOW))
        depth = ((window * log_depths[around]).sum(0) / mass.clamp_min(1e-6)).exp()
        return StereoDepth(depth, mass)


@dataclass(frozen=True)
class MatchingFeatures:
    """What is kept of pictures for the sweeps of others: unit vectors."""

    quarter: Float[Tensor, "views channels rows columns"]
    """At quarter resolution."""
    half: Float[Tensor, "views fine_channels half_rows half_columns"] | None
    """At half resolution, for the refinement; None: the network has none."""

    def __getitem__(self, views: list[int] | slice) -> MatchingFeatures:
        """Of some of the pictures."""
        return MatchingFeatures(self.quarter[views], None if self.half is None else self.half[views])

    def compact(self) -> MatchingFeatures:
        """In half precision, to be kept: their products change by a thousandth at most."""
        return MatchingFeatures(self.quarter.half(), None if self.half is None else self.half.half())

    @staticmethod
    def joined(parts: Sequence[MatchingFeatures]) -> MatchingFeatures:
        """As one batch. Raises ValueError for parts of different networks: some with fine features, some without."""
        fine = [part.half for part in parts if part.half is not None]
        if 0 < len(fine) < len(parts):
            raise ValueError(f"{len(fine)} of {len(parts)} pictures have fine features; expected those of one network")
        return MatchingFeatures(torch.cat([part.quarter for part in parts]), torch.cat(fine) if fine else None)

    @property
    def nbytes(self) -> int:
        return self.quarter.nbytes + (0 if self.half is None else self.half.nbytes)


@dataclass(frozen=True)
class StereoFeatures:
    """Of one or more pictures: what sweeps match, and what the network reads of the keyframe itself."""

    matching: MatchingFeatures
    half: Float[Tensor, "views half_channels half_rows half_columns"]
    quarter: Float[Tensor, "views quarter_channels rows columns"]
    eighth: Float[Tensor, "views eighth_channels eighth_rows eighth_columns"]

    def __getitem__(self, view: int) -> StereoFeatures:
        """Of one picture, as a batch of one."""
        one = slice(view, view + 1)
        return StereoFeatures(self.matching[one], self.half[one], self.quarter[one], self.eighth[one])


def _standardized(images: Tensor) -> Tensor:
    """Each picture by its own mean and spread: exposure and white balance differ between the views."""
    centered = images - images.mean((2, 3), keepdim=True)
    spread = centered.square().mean((2, 3), keepdim=True).sqrt()  # a tenth of the time of `std`
    return centered / (spread + 0.05)
