"""A scene some of whose frames have other labels than they were recorded with: to be taught, or to be scored on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import overload

import torch
from jaxtyping import UInt8
from torch import Tensor

from sray.field import SemanticField
from sray.frames import Frame, SourceViews
from sray.label_space import VOID
from sray_train.datasets.scene import Scene

VIEWS = 8
"""Source views of a frame that the model labels itself."""


class _Relabelled(Sequence[Frame]):
    def __init__(self, frames: Sequence[Frame], labels: Mapping[int, UInt8[Tensor, "height width"]]) -> None:
        self._frames = frames
        self._others = {index: replace(frames[index], labels=its) for index, its in labels.items()}
        """Made once: fine-tuning tells frames apart by identity."""

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        number = range(len(self))[index]
        return self._others[number] if number in self._others else self._frames[number]


def relabelled(scene: Scene, labels: Mapping[int, UInt8[Tensor, "height width"]]) -> Scene:
    """The scene with these labels of these frames; all other frames are as they were."""
    return replace(scene, frames=_Relabelled(scene.frames, labels))


def own_labels(field: SemanticField, scene: Scene, frames: Iterable[int]) -> dict[int, UInt8[Tensor, "height width"]]:
    """What the model itself says of these frames, each rendered from its nearest others among them. RGB alone."""
    frames = sorted(frames)
    found = {}
    for index in frames:
        sources = SourceViews.from_frames([scene.frames[near] for near in scene.nearest(index, VIEWS, frames)])
        field.set_sources(replace(sources, depth=None), bounds=scene.bounds)
        found[index] = field.render(scene.frames[index].camera).labels
    return found


def with_own_labels(field: SemanticField, scene: Scene, frames: Iterable[int]) -> Scene:
    """Pixels of these frames that have no label get the model's own: what labels do not show is not forgotten then.

    A network that is taught "wall" wherever there is a label, and nothing elsewhere, says "wall" everywhere.
    """
    filled = {}
    for index, own in own_labels(field, scene, frames).items():
        labels = scene.frames[index].labels
        filled[index] = own if labels is None else torch.where(labels == VOID, own, labels)
    return relabelled(scene, filled)
