"""A scene some of whose frames have other labels than they were recorded with: to be taught, or to be scored on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from jaxtyping import UInt8
from torch import Tensor

from sray.field import SemanticField
from sray.frames import Frame
from sray.own_labels import filled, own_labels
from sray_train.data.scene import LazyFrames, Scene


class _Relabeled(LazyFrames):
    def __init__(self, frames: Sequence[Frame], labels: Mapping[int, UInt8[Tensor, "height width"]]) -> None:
        self._frames = frames
        self._others = {index: replace(frames[index], labels=its) for index, its in labels.items()}
        """Made once: fine-tuning tells frames apart by identity."""

    def __len__(self) -> int:
        return len(self._frames)

    def _frame(self, position: int) -> Frame:
        return self._others[position] if position in self._others else self._frames[position]


def relabeled(scene: Scene, labels: Mapping[int, UInt8[Tensor, "height width"]]) -> Scene:
    """The scene with these labels of these frames; all other frames are as they were."""
    return replace(scene, frames=_Relabeled(scene.frames, labels))


def with_own_labels(field: SemanticField, scene: Scene, frames: Iterable[int]) -> Scene:
    """Pixels of these frames that have no label get the model's own, rendered from the others of these frames."""
    numbers = sorted(frames)
    taught = [scene.frames[number] for number in numbers]
    own = own_labels(field, taught, range(len(taught)), scene.bounds)
    complete = {numbers[index]: filled(taught[index], labels).labels for index, labels in own.items()}
    return relabeled(scene, {number: labels for number, labels in complete.items() if labels is not None})
