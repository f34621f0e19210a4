"""Surfaces: the depth of views, measured where a sensor measured it, else from stereo where stereo is sure of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sray.camera import Camera
from sray.frames import SourceViews
from sray.sampling import Bounds
from sray.stereo.agreement import agreed
from sray.stereo.depth import DEPTH_STRIDE, StereoDepth
from sray.stereo.network import StereoFeatures, StereoNetwork
from sray.stereo.partners import select_partners

LEAST_CONFIDENCE = 0.3
"""Below it stereo depth is not taken for a surface."""


def merged_depth(
    measured: Float[Tensor, "height width"] | None, stereo: StereoDepth | None, camera: Camera
) -> tuple[Float[Tensor, "height width"], Float[Tensor, "height width"]]:
    """Depth (camera z, meters; NaN where nothing is known) and its confidence (0 to 1), pixel by pixel.

    What a sensor measured is taken as it is; stereo fills what it left out. On the CPU, as frames are.
    """
    depth = torch.full((camera.height, camera.width), torch.nan)
    confidence = torch.zeros_like(depth)
    if stereo is not None:
        found, sure = stereo.float().at(camera)
        taken = sure >= LEAST_CONFIDENCE
        depth, confidence = torch.where(taken, found, torch.nan).cpu(), torch.where(taken, sure, 0.0).cpu()
    if measured is not None:
        known = torch.isfinite(measured) & (measured > 0)
        depth, confidence = torch.where(known, measured, depth), torch.where(known, 1.0, confidence)
    return depth, confidence


def merged_cells(measured: Float[Tensor, "height width"], stereo: StereoDepth | None) -> StereoDepth:
    """The same at half resolution, on the device of `measured`; a confidence of 0 where nothing is known."""
    cells = measured[::DEPTH_STRIDE, ::DEPTH_STRIDE]
    known = torch.isfinite(cells) & (cells > 0)
    if stereo is None:
        return StereoDepth(torch.where(known, cells, 1.0), known.float())
    stereo = stereo.float()
    sure = torch.where(stereo.confidence >= LEAST_CONFIDENCE, stereo.confidence, 0.0)
    return StereoDepth(torch.where(known, cells, stereo.depth), torch.where(known, 1.0, sure))


@torch.inference_mode()
def with_stereo(network: StereoNetwork, features: StereoFeatures, views: SourceViews, bounds: Bounds) -> SourceViews:
    """The views with depth from each other, for views that come together and have none. `bounds`: meters.

    `features`: the network's of the views. A view without a partner among the others stays without depth.
    """
    found: dict[int, StereoDepth] = {}
    for index in range(views.count):
        camera = views.camera[index]
        partners = select_partners(camera, views.camera, bounds=bounds)
        if partners:
            matching = features.matching[partners]
            found[index] = network.find(features[index], matching, camera, views.camera[partners], bounds)
    merged = []
    for index in range(views.count):
        camera, depth = views.camera[index], found.get(index)
        if depth is not None:
            others = [other for other in found if other != index]
            depth = agreed(depth, camera, [found[other] for other in others], views.camera[others])
        merged.append(merged_depth(None, depth, camera))
    depths, confidences = zip(*merged, strict=True)
    return replace(views, depth=torch.stack(depths), depth_confidence=torch.stack(confidences))
