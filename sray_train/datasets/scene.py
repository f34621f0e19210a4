"""Scenes: sequences held in memory, and which of their frames serve as target and sources."""

from __future__ import annotations

from collections.abc import Sequence as Sized
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sray.camera import Camera
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.sequence import Sequence
from sray.view_selection import select_views


@dataclass(frozen=True)
class Scene:
    """All frames of one scene, at one size."""

    name: str
    frames: tuple[Frame, ...]
    cameras: Camera
    """The frames' cameras as one batch."""

    @staticmethod
    def load(folder: Path, label_space: LabelSpace, size: tuple[int, int] | None = None) -> Scene:
        """Read a folder in ScanNet layout, resized to (width, height) if given.

        Raises SrayError(BAD_FILE) naming the file that cannot be read.
        """
        sequence = Sequence.open(folder, label_space)
        frames = [sequence[position] for position in range(len(sequence))]
        if size is not None:
            frames = [frame.resized(*size) for frame in frames]
        return Scene(folder.name, tuple(frames), Camera.stack([frame.camera for frame in frames]))

    def nearest(self, target: int, count: int) -> list[int]:
        """The frames that see most of what frame `target` sees, best first; never the target itself."""
        excluded = torch.zeros(len(self.frames), dtype=torch.bool)
        excluded[target] = True
        return select_views(self.cameras[target], self.cameras, count, excluded)

    def draw(self, views: tuple[int, int], generator: torch.Generator) -> tuple[int, list[int]]:
        """A random target and random sources among its nearest, as the paper draws them.

        The number of sources, and how many neighbours they are drawn from (up to half as many again), vary, so that
        the model meets dense and sparse views.
        """
        target = _integer(0, len(self.frames), generator)
        count = _integer(views[0], views[1] + 1, generator)
        pool = self.nearest(target, min(count + _integer(0, count // 2 + 1, generator), len(self.frames) - 1))
        chosen = torch.randperm(len(pool), generator=generator)[:count]
        return target, [pool[int(index)] for index in chosen]


def _integer(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (1,), generator=generator))


def pick(scenes: Sized[Scene], generator: torch.Generator) -> int:
    """A random index into the scenes."""
    return _integer(0, len(scenes), generator)


def target_rays(
    frame: Frame, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Random pixels of a frame: (rays, 2) pixels, (rays, 3) colours 0..1, labels, depth."""
    height, width = frame.image.shape[:2]
    index = torch.randint(0, height * width, (count,), generator=generator)
    pixels = torch.stack([index % width, index // width], dim=-1).float()
    return (
        pixels,
        frame.image.reshape(-1, 3)[index].float() / 255,
        None if frame.labels is None else frame.labels.reshape(-1)[index],
        None if frame.depth is None else frame.depth.reshape(-1)[index],
    )
