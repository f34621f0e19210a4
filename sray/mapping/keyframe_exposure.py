"""Exposure of keyframes: one gain for each, so that their colors can be blended, and the map has one exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from sray.exposure import Comparison, Shot, compared, solved
from sray.frames import TRUSTED
from sray.mapping.keyframes import Keyframe, KeyframeBuffer
from sray.stereo.partners import select_partners
from sray.view_selection import nearest_views

COMPARED = 8
"""Keyframes that a new one is compared with, at most: those that see most of what it sees."""
SOLVED = 64
"""Keyframes, the nearest by pose, whose gains a new one may change. The others have settled: a large map costs no more
than a small one."""


@dataclass(frozen=True)
class ExposureState:
    """What an ExposureKeeper knows, as a session saves it."""

    log_gains: Float32[NDArray, "keyframes 3"]
    """Of the keyframes, oldest first."""
    pairs: Int64[NDArray, "pairs 2"]
    """Numbers of the keyframes that were compared."""
    log_ratios: Float32[NDArray, "pairs 3"]
    cells: Int64[NDArray, " pairs"]
    """As in `sray.exposure.Comparison`."""


class ExposureKeeper:
    """Keeps the gains of a buffer's keyframes. Keyframes without depth, or that share nothing, have gain 1.

    Gains are 1 on average over keyframes that were compared: the map has the mean exposure of its keyframes.
    """

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, int], Comparison] = {}
        """By the numbers of the keyframes."""
        self._log_gains: dict[int, Float[Tensor, "3"]] = {}

    def gains(self, keyframes: Sequence[Keyframe]) -> Float[Tensor, "views 3"]:
        """What the colors of each are multiplied by, per channel (RGB)."""
        return torch.stack([self._log_gain(each.number) for each in keyframes]).exp()

    def _log_gain(self, number: int) -> Float[Tensor, "3"]:
        return self._log_gains.get(number, torch.zeros(3))

    @torch.inference_mode()
    def entered(self, buffer: KeyframeBuffer) -> None:
        """Compare the newest keyframe with those around it, once its depth is known."""
        self._forget_those_that_left(buffer)
        newest = len(buffer) - 1
        if self._compare(buffer, newest):
            self._solve(buffer, nearest_views(buffer[newest].camera, buffer.cameras, SOLVED))

    @torch.inference_mode()
    def renew(self, buffer: KeyframeBuffer) -> None:
        """Compare all keyframes anew: after a session was loaded, or their depth was found anew."""
        self._pairs, self._log_gains = {}, {}
        for index in range(len(buffer)):
            self._compare(buffer, index)
        if len(buffer):
            self._solve(buffer, list(range(len(buffer))))

    def state(self, buffer: KeyframeBuffer) -> ExposureState:
        """What is known of the buffer's keyframes."""
        self._forget_those_that_left(buffer)
        found = self._pairs.values()
        return ExposureState(
            np.array([self._log_gain(each.number).numpy() for each in buffer], np.float32).reshape(-1, 3),
            np.array(list(self._pairs), np.int64).reshape(-1, 2),
            np.array([each.log_ratio.numpy() for each in found], np.float32).reshape(-1, 3),
            np.array([each.cells for each in found], np.int64),
        )

    def recall(self, buffer: KeyframeBuffer, state: ExposureState) -> None:
        """Go on from what was known of these keyframes."""
        gains = torch.from_numpy(state.log_gains)
        self._log_gains = {keyframe.number: gain for keyframe, gain in zip(buffer, gains, strict=True)}
        self._pairs = {
            (one, other): Comparison(torch.from_numpy(ratio), cells)
            for (one, other), ratio, cells in zip(
                state.pairs.tolist(), state.log_ratios, state.cells.tolist(), strict=True
            )
        }
        self._forget_those_that_left(buffer)

    def _forget_those_that_left(self, buffer: KeyframeBuffer) -> None:
        here = {keyframe.number for keyframe in buffer}
        self._pairs = {pair: found for pair, found in self._pairs.items() if here.issuperset(pair)}
        self._log_gains = {number: gain for number, gain in self._log_gains.items() if number in here}

    def _compare(self, buffer: KeyframeBuffer, index: int) -> bool:
        """Compare one keyframe with those around it; whether any could be compared."""
        shot = _shot(buffer[index], buffer[index])
        if shot is None:
            return False
        is_compared = False
        for other in select_partners(buffer[index].camera, buffer.cameras, COMPARED):
            if (buffer[other].number, buffer[index].number) in self._pairs:
                continue
            seen = _shot(buffer[other], buffer[index])
            found = None if seen is None else compared(shot, seen)
            if found is not None:
                self._pairs[buffer[index].number, buffer[other].number] = found
                is_compared = True
        return is_compared

    def _solve(self, buffer: KeyframeBuffer, chosen: Sequence[int]) -> None:
        """Find the gains of the chosen keyframes; those of all others stay."""
        free = {buffer[index].number for index in chosen}
        pairs = {pair: found for pair, found in self._pairs.items() if not free.isdisjoint(pair)}
        numbers = sorted(free.union(*pairs))
        places = {number: place for place, number in enumerate(numbers)}
        known = torch.stack([self._log_gain(number) for number in numbers])
        known[[places[number] for number in free]] = torch.nan
        gains = solved([(places[one], places[other], found) for (one, other), found in pairs.items()], known)
        self._log_gains.update(zip(numbers, gains, strict=True))


def _shot(keyframe: Keyframe, reference: Keyframe) -> Shot | None:
    """A keyframe as another one's neighbor; None while its depth is unknown."""
    if keyframe.surface is None:
        return None
    depth, confidence = keyframe.surface
    image = keyframe.frame.image.permute(2, 0, 1).float() / 255
    camera = keyframe.camera.relative_to(reference.camera.origin)
    return Shot(image, camera, torch.where(confidence >= TRUSTED, depth, torch.nan))
