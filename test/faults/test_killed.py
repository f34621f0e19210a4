"""kill -9 at random moments, a hundred times: no saved file is lost, and what killed writers left goes away."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.field import SemanticField
from sray.files import write_atomically
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.mapping.cloud import LabeledCloud, write_ply
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper import Mapper
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.model import SemanticRay, SemanticRayConfig

SPACE = LabelSpace("three", ("wall", "floor", "bed"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (1, 2, 4))


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(SPACE.classes))


def killed_while(write: Callable[[], object], moment: float) -> None:
    """A process of its own writes over and over, and is killed after `moment` seconds."""
    child = os.fork()
    if not child:
        try:
            while True:
                write()
        finally:
            os._exit(1)
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the writer ended by itself"


@pytest.mark.fault(
    "whoever writes a session, a model or a map is killed with -9, at any moment", code="none", says="nothing",
    recovery="the file is whole, the older one or the newer",
)  # fmt: skip
@pytest.mark.parametrize("kind", ["session", "model", "map"])
def test_a_file_is_whole_whenever_its_writer_is_killed(
    tmp_path: Path, model: SemanticRay, frames: list[Frame], kind: str
) -> None:
    field = SemanticField(model)
    mapper = Mapper(field, SPACE.classes, MapperConfig(KeyframeConfig(min_sharpness=0.0)))
    for index, frame in enumerate(frames):
        mapper.add(replace(frame, stamp_ns=10**9 + index))
    session = Session.of(mapper, "model", SPACE, "map")
    points = np.zeros((50_000, 3), np.float32)
    cloud = LabeledCloud(points, points.astype(np.uint8), points[:, 0].astype(np.uint8), points[:, 0])
    file = tmp_path / {"session": "kept.safetensors", "model": "kept.safetensors", "map": "kept.ply"}[kind]
    write: Callable[[], object] = {
        "session": lambda: session.save(file),
        "model": lambda: save_checkpoint(file, model, SPACE, {}),
        "map": lambda: write_ply(file, cloud, SPACE),
    }[kind]
    write()
    size = file.stat().st_size
    moments = random.Random(0)
    for _ in range(34):  # a hundred of the three kinds
        killed_while(write, moments.uniform(0.0, 0.06))
        if kind == "session":
            assert [number for number, _ in Session.load(file).keyframes] == list(range(len(frames)))
        elif kind == "model":
            assert load_checkpoint(file).label_space == SPACE
        assert file.stat().st_size == size
    halves = list(tmp_path.glob("*.partial"))
    for half in halves:
        os.utime(half, (0, 0))
    write()
    assert list(tmp_path.iterdir()) == [file], "what killed writers left is cleared away in time"


def test_a_half_that_somebody_is_writing_is_left_alone(tmp_path: Path) -> None:
    half = tmp_path / "kept.txt.1.2.partial"
    half.write_text("more to come")
    write_atomically(tmp_path / "kept.txt", b"done")
    assert half.exists()
