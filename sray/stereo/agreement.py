"""Agreement: the depth of a view after the views around it were asked what they see there.

A sweep errs where a wall has no texture or a pattern repeats, and each view errs in its own way. Depths that several
views share are averaged; a point in the free space of another view, which looks through it, loses confidence. Source:
the consistency checks of multi-view stereo fusion (Schoenberger et al., ECCV 2016), with confidences for votes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sray.camera import Camera, cell_pixels
from sray.stereo.depth import DEPTH_STRIDE, StereoDepth
from sray.stereo.sweep import looked_at

AGREEING = 0.1
"""Relative difference of two depths of one point up to which they mean one surface: two planes of a sweep."""
DOUBT = 0.1
"""Weight of the doubt in a point that others neither confirm nor contradict, in confidences of a view."""


def agreed(own: StereoDepth, camera: Camera, others: Sequence[StereoDepth], cameras: Camera) -> StereoDepth:
    """A view's depth averaged with the depths of other views that agree with it, and its confidence by their votes.

    `others` (of the same size) are what the views at `cameras` see, in the frame of `camera`'s origin; a confidence of
    0 says nothing. The confidence is multiplied by support / (support + contradiction + DOUBT): the sums of the
    confidences of the views that see the point there, and of those that look through it. The cameras may be on another
    device than the depths.
    """
    if not others:
        return own
    camera, cameras = camera.to(own.depth.device), cameras.to(own.depth.device)
    own, others = own.float(), [other.float() for other in others]
    rows, columns = own.depth.shape
    depth = own.depth.reshape(-1)
    directions = camera.ray_directions(cell_pixels(rows, columns, depth.device, DEPTH_STRIDE))
    u, v, z, seen = looked_at(camera, cameras, directions, depth[None])
    column = (u / DEPTH_STRIDE).round().nan_to_num().clamp(0, columns - 1)
    row = (v / DEPTH_STRIDE).round().nan_to_num().clamp(0, rows - 1)
    cell = (row * columns + column).long()[:, 0]
    there = torch.stack([other.depth for other in others]).flatten(1).gather(1, cell)
    votes = torch.stack([other.confidence for other in others]).flatten(1).gather(1, cell) * seen[:, 0]
    ratio = torch.where(votes > 0, there / z[:, 0], 1.0)
    support = torch.where((ratio - 1).abs() <= AGREEING, votes, 0.0)
    contradiction = torch.where(ratio > 1 + AGREEING, votes, 0.0).sum(0)
    supported = support.sum(0)
    # What another view measures of the point, carried over to this view's ray.
    correction = (support * ratio.log()).sum(0) / (own.confidence.reshape(-1) + supported).clamp_min(1e-6)
    share = supported / (supported + contradiction + DOUBT)
    confidence = own.confidence * share.reshape(rows, columns)
    return StereoDepth((depth * correction.exp()).reshape(rows, columns), confidence)
