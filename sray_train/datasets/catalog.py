"""The datasets by name: scenes of a `DataConfig`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tqdm import tqdm

from sray.errors import ErrorCode, SrayError
from sray.label_space import LABEL_SPACES
from sray.sequence import Sequence
from sray_train.config import DataConfig
from sray_train.datasets.rooms import make_rooms, parse_seeds
from sray_train.datasets.scene import FrameCache, Recording, Scene


def load_scenes(data: DataConfig, which: str) -> list[Scene]:
    """The scenes that `which` names (see `DataConfig.train`), at the config's size; rooms are made if not cached yet.

    Raises SrayError(BAD_FILE) naming the scene that is not there or cannot be read, and what was expected.
    """
    cache = FrameCache()
    size = (data.width, data.height)
    return [Scene.of(recording, size, data.frames, cache) for recording in recordings(data, which)]


def recordings(data: DataConfig, which: str) -> Iterator[Recording]:
    """The same as they are on disk."""
    space = LABEL_SPACES[data.label_space]
    try:
        seeds = parse_seeds(which)
    except ValueError as error:
        raise SrayError(ErrorCode.BAD_FILE, f"seeds: {error}") from error
    with tqdm(total=len(seeds), unit="room", delay=2, leave=False) as bar:
        folders = make_rooms(
            seeds,
            width=data.width,
            height=data.height,
            frames=data.frames,
            workers=min(len(seeds), os.cpu_count() or 1),
            on_progress=lambda done, _: bar.update(done - bar.n),
        )
    for folder in folders:
        yield Sequence.open(folder, space)
