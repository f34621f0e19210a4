"""Thousands of damaged and hostile sessions, checkpoints and pictures: only a SrayError may come out, soon, and in
little memory.

Seeded, so that a case that fails fails again; its message says how to make its bytes. SRAY_FUZZ=20 runs twenty times as
many, other ones.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from fuzzing import TIMES, damages, only_sray_errors

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.field import SemanticField
from sray.label_space import ROOMS
from sray.mapping.cloud import LabeledCloud
from sray.mapping.mapper import Mapper
from sray.mapping.session import Session
from sray.mapping.session_export import export_sequence
from sray.mapping.voxel_map import VoxelMap
from sray.model import SemanticRay, SemanticRayConfig

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, -0.0, 1e300,
    float("nan"), float("inf"), float("-inf"), "", "0", "F16", "U8", "BOOL", "\ud800", "a\nb", "x" * 3000,
    [], {}, [[]], [-1], [0, 0], [2**40, 2**40], {"a": 1}, "@deep@", "@digits@",
)  # fmt: skip


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: Any, data: bytes) -> bytes:
    raw = as_json(header).encode("utf-8", "surrogatepass")
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + data


def as_json(value: Any) -> str:
    deep, digits = "[" * 50_000 + "]" * 50_000, "9" * 6000
    return json.dumps(value).replace('"@deep@"', deep).replace('"@digits@"', digits)


def spoiled(tree: Any, random: np.random.Generator) -> str:
    """Put a hostile value somewhere into a JSON tree, in place, or take something out; returns where."""
    where, node = "", tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[random.integers(0, len(keys))]
        where += f"/{key}"
        if isinstance(node[key], dict | list) and len(node[key]) and random.random() < 0.8:
            node = node[key]
            continue
        if random.random() < 0.1:
            del node[key]
            return f"{where} left out"
        node[key] = HOSTILE[random.integers(0, len(HOSTILE))]
        return f"{where} = {node[key]!r:.40}"


def hostile(content: bytes, key: str, count: int) -> Iterator[tuple[str, bytes]]:
    """Sound safetensors framing around a header that lies: about its arrays, or in its own entry `key`."""
    for seed in range(count * TIMES):
        random = np.random.default_rng(seed)
        header, data = split(content)
        if seed % 3:
            entry = json.loads(header["__metadata__"][key])
            where = spoiled(entry, random)
            header["__metadata__"][key] = as_json(entry)
        else:
            where = spoiled(header, random)
        yield f"hostile, seed {seed}: {where}", joined(header, data)
    for value in HOSTILE:
        header, data = split(content)
        header["__metadata__"][key] = as_json(value)
        yield f"{key} is {value!r:.40}", joined(header, data)
        yield f"the header is {value!r:.40}", joined(value, data)


@pytest.fixture(scope="module")
def session() -> bytes:
    random = np.random.default_rng(0)
    voxels = VoxelMap(ROOMS.classes)
    points = random.uniform(-1, 1, (40, 3)).astype(np.float32)
    voxels.integrate(LabeledCloud(points, np.zeros((40, 3), np.uint8), np.ones(40, np.uint8), points[:, 0] ** 2))
    scene = PlaneScene(width=20, height=15)
    keyframes = tuple((number, scene.frame((0.1 * number, 0.0, 0.0))) for number in range(3))
    return written(lambda path: Session("rooms-0", ROOMS, keyframes, 3, voxels.state()).save(path))


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(0)
    return SemanticRay(SemanticRayConfig(ROOMS.classes))


@pytest.fixture(scope="module")
def checkpoint(model: SemanticRay) -> bytes:
    return written(lambda path: save_checkpoint(path, model, ROOMS, {"seed": 0}))


def written(write: Callable[[Path], object]) -> bytes:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"sray-fuzz-{os.getpid()}.safetensors"
    write(path)
    content = path.read_bytes()
    path.unlink()
    return content


def load_and_restore(path: Path, model: SemanticRay, count: Iterator[int]) -> None:
    """What loads must also restore and export, whatever it says; every fifth one, as encoding takes long."""
    loaded = Session.load(path)
    if next(count) % 5:
        return
    mapper = Mapper(SemanticField(model), ROOMS.classes)
    loaded.restore(mapper, ROOMS)
    mapper.map.to_cloud()
    folder = path.with_name("export")
    try:
        export_sequence(loaded, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.fault(
    "a session's bytes are flipped, cut or inserted, or its header lies",
    code="BAD_FILE",
    says="the service's answer",
    recovery="what was mapped stays; load another file",
)
@pytest.mark.parametrize("kind", ["damaged", "hostile"])
def test_of_a_fuzzed_session_only_sray_errors_come(
    session: bytes, model: SemanticRay, tmp_path: Path, memory: None, kind: str
) -> None:
    cases = damages(session, 1500, 4000) if kind == "damaged" else hostile(session, "sray-session-1", 1500)
    loaded = itertools.count()
    outcomes = only_sray_errors(lambda path: load_and_restore(path, model, loaded), tmp_path / "s", cases)
    assert outcomes["refused"] > 1000 * TIMES
    assert outcomes["read"] > 0, "some damage is no damage: a pixel, a name"


@pytest.mark.fault(
    "a checkpoint's bytes are flipped, cut or inserted, or its header lies",
    code="BAD_FILE",
    says="the log, and the answer of load_model",
    recovery="the model that was loaded goes on; load another file",
)
@pytest.mark.parametrize("kind", ["damaged", "hostile"])
def test_of_a_fuzzed_checkpoint_only_sray_errors_come(
    checkpoint: bytes, tmp_path: Path, memory: None, kind: str
) -> None:
    cases = damages(checkpoint, 250, 15_000) if kind == "damaged" else hostile(checkpoint, "sray-checkpoint-1", 250)
    outcomes = only_sray_errors(load_checkpoint, tmp_path / "m", cases)
    assert outcomes["refused"] > 100 * TIMES
