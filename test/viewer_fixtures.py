"""For tests: a real browser on a real room, mapped by the model that comes with the package."""

from __future__ import annotations

import importlib.util
import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium
from numpy.typing import NDArray

from sray.checkpoint import load_checkpoint
from sray.frames import Frame
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper_config import MapperConfig
from sray.viewing.local_source import Feed, LocalSource

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "out" / "viewer"
"""Pictures of every state that a test has seen, to be looked at."""
MODEL = ROOT / "test" / "trained" / "resunet_rooms.safetensors"
"""The paper's encoder, trained on generated rooms: small and fast."""
FRAMES = 8

needs_chromium = pytest.mark.skipif(
    chromium() is None, reason="there is no Chromium on this machine (apt-get install chromium)"
)
needs_viser = pytest.mark.skipif(
    importlib.util.find_spec("viser") is None, reason="the extra `viewer` is not installed"
)


def room_source(folder: Path, count: int = FRAMES, goes_on: threading.Event | None = None) -> LocalSource:
    """Some frames of a held-out room with depth, every one of them a keyframe, being mapped.

    `goes_on`: mapping stops half-way until it is set.
    """
    from sray_train.data.rooms import FIRST_HELD_OUT_SEED, room_frames

    frames = list(itertools.islice(room_frames(FIRST_HELD_OUT_SEED, width=160, height=120, frames=40), count))
    config = MapperConfig(KeyframeConfig(min_translation=0.02, min_rotation=1.0, min_sharpness=0.0))
    source = LocalSource(load_checkpoint(MODEL), config, "room 9000", folder)

    def fed() -> Iterator[Frame]:
        for index, frame in enumerate(frames):
            if goes_on is not None and index == len(frames) // 2:
                goes_on.wait()
            yield replace(frame, stamp_ns=index + 1)

    source.feed(Feed(fed(), len(frames)))
    return source


def scene_of(picture: NDArray[np.uint8]) -> NDArray[Any]:
    """The part of a screenshot that neither panel nor messages cover."""
    height, width = picture.shape[:2]
    part: NDArray[Any] = picture[height // 4 :, width // 8 : int(width * 0.62)].astype(int)
    return part


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean difference of two screenshots' scenes, 0 to 255."""
    return float(np.abs(scene_of(one) - scene_of(other)).mean())


def colors_in(picture: NDArray[np.uint8]) -> int:
    """How many different colors the scene of a screenshot has, coarsely."""
    return len(np.unique(scene_of(picture).reshape(-1, 3) // 32, axis=0))
