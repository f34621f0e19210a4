"""Depth of keyframes from stereo: found once, when a keyframe enters, and again when clearly better partners came."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sray.field import SemanticField
from sray.half_precision import half_precision
from sray.mapping.keyframes import Keyframe, KeyframeBuffer
from sray.sampling import Bounds
from sray.stereo import StereoNetwork
from sray.stereo.agreement import agreed
from sray.stereo.found import FoundDepth, weights_digest
from sray.stereo.network import MatchingFeatures, StereoFeatures
from sray.stereo.partners import PARTNERS, least_partner_cost, partner_cost, select_partners

STEREO_BOUNDS: Bounds = (0.4, 8.0)
"""Near and far of a sweep, meters, where the scene's are not known."""
CLEARLY_BETTER = 0.5
"""By how much the mean cost of its partners must fall for a keyframe to be swept again."""
NO_PARTNER = 6.0
"""Cost of a partner that is missing: any that can serve is better."""
AROUND = 32
"""Keyframes, those that would suit the newest one best by their poses, that may be swept again for it."""
WITNESSES = 8
"""Keyframes that are asked what they see of a keyframe's surface, at most."""


class StereoKeeper:
    """Keeps the stereo depth of a buffer's keyframes. Does nothing with a model that has no stereo network."""

    def __init__(self, field: SemanticField, bounds: Bounds = STEREO_BOUNDS) -> None:
        self._field = field
        self._bounds = bounds

    @cached_property
    def digest(self) -> str:
        """Of the network's weights; empty: there is no network."""
        network = self._field.model.stereo
        return "" if network is None else weights_digest(network)

    @torch.inference_mode()
    def recalled(self, keyframe: Keyframe, found: FoundDepth | None) -> Keyframe:
        """A keyframe of a session, with the depth that this network found of it then. Only features are made anew."""
        network = self._field.model.stereo
        if network is None:
            return keyframe
        known = None if found is None else found.to(self._field.device)
        return replace(keyframe, matching=self._features(keyframe).matching.compact(), stereo=known)

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
        witnesses = self._witnesses(buffer, newest)
        for index in dict.fromkeys([*swept, *witnesses[:PARTNERS]]):
            self._agree(buffer, index)

    @torch.inference_mode()
    def renew(self, buffer: KeyframeBuffer, go_on: Callable[[], None] = lambda: None) -> None:
        """Find every keyframe's depth anew: with another stereo network, or after a session of another one.

        `go_on` is called before each sweep, and may raise to end this half done.
        """
        network = self._field.model.stereo
        if network is None:
            self.forget(buffer)
            return
        self.match_anew(buffer)
        for index in range(len(buffer)):
            go_on()
            self._sweep(buffer, index, network)
        for index in range(len(buffer)):
            self._agree(buffer, index)

    def forget(self, buffer: KeyframeBuffer) -> None:
        """Drop what was matched and found of every keyframe."""
        for index in range(len(buffer)):
            buffer.update(index, matching=None, stereo=None)

    @torch.inference_mode()
    def match_anew(self, buffer: KeyframeBuffer) -> None:
        """Make the matching features anew, with another encoder. Depth that was found stays."""
        if self._field.model.stereo is not None:
            for index in range(len(buffer)):
                buffer.update(index, matching=self._features(buffer[index]).matching.compact())

    def _sweep(self, buffer: KeyframeBuffer, index: int, network: StereoNetwork) -> None:
        keyframe = buffer[index]
        features = self._features(keyframe)
        buffer.update(index, matching=features.matching.compact())
        known = [(each, found) for each in range(len(buffer)) if (found := buffer[each].matching) is not None]
        # All from one origin: an older keyframe's own may be another one.
        camera, cameras = buffer.cameras[index], buffer.cameras[[each for each, _ in known]]
        chosen = select_partners(camera, cameras, bounds=self._bounds)
        if not chosen:
            return
        partners = MatchingFeatures.joined([known[each][1] for each in chosen])
        with half_precision(self._field.device):
            swept = network.find(features, partners, camera, cameras[chosen], self._bounds).half()
        cost = float(_mean_cost(partner_cost(camera, cameras[chosen], self._bounds)))
        buffer.update(index, stereo=FoundDepth(swept, swept, cost))

    def _agree(self, buffer: KeyframeBuffer, index: int) -> None:
        """Compare a keyframe's sweep with the depth of the keyframes around it."""
        known = buffer[index].stereo
        if known is None:
            return
        found = {
            each: depth for each in self._witnesses(buffer, index) if (depth := buffer[each].seen_depth) is not None
        }
        cameras = buffer.cameras
        depth = agreed(known.swept, cameras[index], list(found.values()), cameras[list(found)])
        buffer.update(index, stereo=replace(known, agreed=depth.half()))

    def _witnesses(self, buffer: KeyframeBuffer, index: int) -> list[int]:
        """The keyframes that see most of what a keyframe sees from elsewhere, best first."""
        return select_partners(buffer[index].camera, buffer.cameras, WITNESSES, self._bounds)

    def _features(self, keyframe: Keyframe) -> StereoFeatures:
        image = keyframe.frame.image.to(self._field.device).permute(2, 0, 1)[None].float() / 255
        with half_precision(self._field.device):
            return self._field.model.stereo_features(image, keyframe.camera, keyframe.features[None])

    def _most_bettered(self, buffer: KeyframeBuffer, newest: int) -> int | None:
        """The keyframe around the newest one whose partners would be clearly better with it among them.

        Of many keyframes, partners are sought among those around the newest one, too: some gains look smaller so.
        """
        least = least_partner_cost(buffer[newest].camera, buffer.cameras, self._bounds)
        near = least.topk(min(AROUND, len(least)), largest=False).indices
        cameras = buffer.cameras[torch.cat([near, torch.tensor([newest])])]
        costs = partner_cost(cameras, cameras, self._bounds)[:-1]
        serves = torch.isfinite(costs[:, -1])
        gains = []
        for index, cost in zip(near[serves].tolist(), _mean_cost(costs[serves]).tolist(), strict=True):
            known = buffer[index].stereo
            gains.append(((math.inf if known is None else known.cost) - cost, index))
        gain, index = max(gains, default=(0.0, 0))
        return index if gain > CLEARLY_BETTER else None


def _mean_cost(costs: Float[Tensor, "*keyframes views"]) -> Float[Tensor, "*keyframes"]:
    """Of the best partners; places without a keyframe cost `NO_PARTNER`."""
    filled = F.pad(costs.clamp_max(NO_PARTNER), (0, PARTNERS), value=NO_PARTNER)
    return filled.sort(-1).values[..., :PARTNERS].mean(-1)
