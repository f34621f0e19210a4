"""Labeled pictures of rooms, read when they are asked for: thousands of them need no memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from sray.frames import Frame
from sray.label_space import ROOMS
from sray.sequence import Sequence
from sray_train.data.rooms import FIRST_HELD_OUT_SEED, make_rooms
from sray_train.learn.training.augmentation import augment


@dataclass(frozen=True)
class RoomPictures:
    """The frames of many rooms, one after the other."""

    rooms: tuple[Sequence, ...]

    @staticmethod
    def of(seeds: list[int], *, width: int, height: int, frames: int, cache: Path | None = None) -> RoomPictures:
        """Makes the rooms that the cache lacks. Raises ValueError if one of them is held out."""
        if (last := max(seeds)) >= FIRST_HELD_OUT_SEED:
            raise ValueError(f"seed {last} is held out; expected seeds below {FIRST_HELD_OUT_SEED} to learn from")
        folders = make_rooms(seeds, width=width, height=height, frames=frames, cache=cache, workers=1)
        # Depth is half of the reading, and nobody looks at it here.
        return RoomPictures(tuple(replace(Sequence.open(folder, ROOMS), has_depth=False) for folder in folders))

    def __len__(self) -> int:
        return sum(len(room) for room in self.rooms)

    def __getitem__(self, index: int) -> Frame:
        for room in self.rooms:
            if index < len(room):
                return room[index]
            index -= len(room)
        raise IndexError(index)

    def batch(
        self, count: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "pictures 3 height width"], UInt8[Tensor, "pictures height width"]]:
        """So many random pictures, augmented: colors in 0..1, and their labels."""
        chosen = torch.randint(0, len(self), (count,), generator=generator).tolist()
        pairs = []
        for index in chosen:
            frame = self[index]
            if frame.labels is None:
                raise ValueError(f"{frame.name} has no labels; expected labeled rooms")
            size = (frame.camera.width, frame.camera.height)
            pairs.append(augment(frame.image, frame.labels, size, generator))
        return torch.stack([image for image, _ in pairs]), torch.stack([labels for _, labels in pairs])
