"""Rooms on disk: made on demand from their seed, cached, in ScanNet layout.

A room is written into a temporary folder that is renamed when complete, so an interrupted run leaves no half room.
"""

from __future__ import annotations

import multiprocessing
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from sray.camera import Camera
from sray.files import cache_folder
from sray.frames import Frame
from sray.label_space import NYU40, ROOMS, LabelSpace
from sray.sequence_writer import SequenceWriter
from sray_train.data.rooms.layout import furnish
from sray_train.data.rooms.lighting import light_scene
from sray_train.data.rooms.renderer import SAMPLES, RoomRenderer
from sray_train.data.rooms.sensor import develop, exposures, shutter_cameras
from sray_train.data.rooms.trajectory import plan_cameras

GENERATOR_VERSION = 3
"""Part of the cache's path: raise it whenever a seed would give other pictures."""


def room_frames(
    seed: int, *, width: int = 320, height: int = 240, frames: int = 40, label_space: LabelSpace = ROOMS
) -> Iterator[Frame]:
    """The frames of a room, one after the other. The same seed and size give the same pixels on one machine.

    Labels are indices of `label_space`: rooms are made with NYU40's classes, and what it has not becomes what
    `LabelSpace.from_nyu40` says.
    """
    lit = light_scene(furnish(seed))
    rng = np.random.default_rng([seed, 1])
    cameras: Camera = plan_cameras(lit, frames, width, height, rng)
    renderer = RoomRenderer(lit)
    developments = exposures([renderer.brightness(cameras[number]) for number in range(frames)], rng)
    for number, how in enumerate(developments):
        camera = cameras[number]
        shutter = shutter_cameras(camera, cameras[min(number + 1, frames - 1)], SAMPLES**2, rng)
        frame, light = renderer.render(camera, f"room {seed}/{number}", shutter)
        labels = torch.from_numpy(label_space.from_nyu40(frame.labels.numpy())) if frame.labels is not None else None
        yield replace(frame, image=develop(light, how, rng), labels=labels)


def room_path(seed: int, *, width: int = 320, height: int = 240, frames: int = 40, cache: Path | None = None) -> Path:
    """Where a room is, or would be, in the cache."""
    return (cache or cache_folder("rooms")) / f"v{GENERATOR_VERSION}_{width}x{height}_{frames}" / f"{seed:05d}"


def seed_of(folder: Path) -> int | None:
    """The seed of the room that a folder of the cache holds; None for any other folder."""
    in_cache = re.fullmatch(r"v\d+_\d+x\d+_\d+", folder.parent.name) and folder.name.isdecimal()
    return int(folder.name) if in_cache else None


def room_folder(seed: int, *, width: int = 320, height: int = 240, frames: int = 40, cache: Path | None = None) -> Path:
    """The folder of a room in ScanNet layout; makes it if the cache has none."""
    folder = room_path(seed, width=width, height=height, frames=frames, cache=cache)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        unfinished.chmod(0o755)
        writer = SequenceWriter(unfinished, NYU40)
        made = room_frames(seed, width=width, height=height, frames=frames, label_space=NYU40)
        for number, frame in enumerate(made):
            writer.add(number, frame)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster with the same room
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def make_rooms(
    seeds: Iterable[int],
    *,
    width: int = 320,
    height: int = 240,
    frames: int = 40,
    cache: Path | None = None,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """The folders of many rooms, in the order of `seeds`; `on_progress(done, total)` after each."""
    wanted = list(seeds)
    place = partial(room_path, width=width, height=height, frames=frames, cache=cache)
    make = partial(room_folder, width=width, height=height, frames=frames, cache=cache)
    cached = [seed for seed in wanted if place(seed).is_dir()]
    missing = list(dict.fromkeys(seed for seed in wanted if not place(seed).is_dir()))
    for done, _ in enumerate(chain(cached, _made(make, missing, workers)), start=1):
        if on_progress:
            on_progress(done, len(wanted))
    return [place(seed) for seed in wanted]


def _made(make: Callable[[int], Path], seeds: list[int], workers: int) -> Iterator[Path]:
    """Each room when it is made."""
    if workers <= 1 or len(seeds) <= 1:
        yield from map(make, seeds)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for done in as_completed([pool.submit(make, seed) for seed in seeds]):
                yield done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
