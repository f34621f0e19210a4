"""Depth of keyframes from stereo: found once, when a keyframe enters, and again when clearly better partners came."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sray.field import SemanticField
from sray.mapping.keyframes import Keyframe, KeyframeBuffer
from sray.sampling import Bounds
from sray.stereo import StereoNetwork
from sray.stereo.agreement import agreed
from sray.stereo.network import StereoFeatures
from sray.stereo.partners import PARTNERS, partner_cost, select_partners

STEREO_BOUNDS: Bounds = (0.4, 8.0)
"""Near and far of a sweep, metres, where the scene's are not known."""
CLEARLY_BETTER = 0.5
"""By how much the mean cost of its partners must fall for a keyframe to be swept again."""
NO_PARTNER = 6.0
"""Cost of a partner that is missing: any that can serve is better."""
WITNESSES = 8
"""Keyframes that are asked what they see of a keyframe's surface, at most."""


class StereoKeeper:
    """Keeps the stereo depth of a buffer's keyframes. Does nothing with a model that has no stereo network."""

    def __init__(self, field: SemanticField, bounds: Bounds = STEREO_BOUNDS) -> None:
        self._field = field
        self._bounds = bounds

    @torch.inference_mode()
    def entered(self, buffer: KeyframeBuffer) -> None:
        """Find the newest keyframe's depth, and that of the one keyframe whose partners it betters most."""
        network = self._field.model.stereo
        if network is None:
            return
        newest = len(buffer) - 1
        self._sweep(buffer, newest, network)
        swept = [newest]
        if newest and (index := self._most_bettered(buffer, newest)) is not None:
            self._sweep(buffer, index, network)
            swept.append(index)
        # What the new depth confirms or contradicts: that of the keyframes which look at the same place.
        around = self._around(buffer, newest)
        for index in dict.fromkeys([*swept, *around[:PARTNERS]]):
            self._agree(buffer, index)

    @torch.inference_mode()
    def renew(self, buffer: KeyframeBuffer) -> None:
        """Find every keyframe's depth anew: after a session was loaded, or with another stereo network."""
        network = self._field.model.stereo
        if network is None:
            for index in range(len(buffer)):
                buffer.update(index, matching=None, swept=None, stereo=None, stereo_cost=math.inf)
            return
        for index in range(len(buffer)):
            buffer.update(index, matching=self._features(buffer[index], network).matching[0])
        for index in range(len(buffer)):
            self._sweep(buffer, index, network)
        for index in range(len(buffer)):
            self._agree(buffer, index)

    def _sweep(self, buffer: KeyframeBuffer, index: int, network: StereoNetwork) -> None:
        keyframe = buffer[index]
        features = self._features(keyframe, network)
        buffer.update(index, matching=features.matching[0])
        candidates = [each for each in range(len(buffer)) if buffer[each].matching is not None]
        cameras = buffer.cameras[candidates]
        chosen = select_partners(keyframe.camera, cameras, bounds=self._bounds)
        if not chosen:
            return
        partners = torch.stack([_matching(buffer[candidates[each]]) for each in chosen])
        likelihood = network(features, partners, keyframe.camera, cameras[chosen], self._bounds)
        cost = float(_mean_cost(partner_cost(keyframe.camera, cameras, self._bounds)))
        buffer.update(index, swept=network.read(likelihood, self._bounds), stereo_cost=cost)

    def _agree(self, buffer: KeyframeBuffer, index: int) -> None:
        """Compare a keyframe's sweep with the depth of the keyframes around it."""
        swept = buffer[index].swept
        if swept is None:
            return
        found = {each: depth for each in self._around(buffer, index) if (depth := buffer[each].seen_depth) is not None}
        cameras = buffer.cameras
        depth = agreed(swept, cameras[index], list(found.values()), cameras[list(found)])
        buffer.update(index, stereo=depth)

    def _around(self, buffer: KeyframeBuffer, index: int) -> list[int]:
        """The keyframes that see most of what a keyframe sees from elsewhere, best first."""
        return select_partners(buffer[index].camera, buffer.cameras, WITNESSES, self._bounds)

    def _features(self, keyframe: Keyframe, network: StereoNetwork) -> StereoFeatures:
        image = keyframe.frame.image.to(self._field.device).permute(2, 0, 1)[None].float() / 255
        return network.features(image)

    def _most_bettered(self, buffer: KeyframeBuffer, newest: int) -> int | None:
        """The keyframe around the newest one whose partners would be clearly better with it among them."""
        gains = []
        cameras = buffer.cameras
        around = partner_cost(buffer[newest].camera, cameras, self._bounds)
        for index in torch.nonzero(torch.isfinite(around))[:, 0].tolist():
            now = float(_mean_cost(partner_cost(buffer[index].camera, cameras, self._bounds)))
            gains.append((buffer[index].stereo_cost - now, index))
        gain, index = max(gains, default=(0.0, 0))
        return index if gain > CLEARLY_BETTER else None


def _mean_cost(costs: Tensor) -> Tensor:
    """Of the best partners; places that nobody fills cost `NO_PARTNER`."""
    filled = torch.cat([costs.clamp_max(NO_PARTNER), costs.new_full((PARTNERS,), NO_PARTNER)])
    return filled.sort().values[:PARTNERS].mean()


def _matching(keyframe: Keyframe) -> Tensor:
    assert keyframe.matching is not None
    return keyframe.matching
