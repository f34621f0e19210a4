"""Thousands of damaged and hostile files: only a SrayError may come out, soon, and without much memory.

Seeded, so that a case that fails fails again; its message says how to make its bytes. SRAY_FUZZ=20 runs twenty times as
many, other ones.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene
from dataset_fixtures.scannet import MOTION_READINGS, sens_frame, sens_header

from sray.checkpoint import load_checkpoint, save_checkpoint
from sray.errors import FileError, ModelError, SrayError
from sray.field import SemanticField
from sray.label_space import NYU40, ROOMS
from sray.mapping.cloud import LabeledCloud
from sray.mapping.mapper import Mapper
from sray.mapping.session import Session
from sray.mapping.session_export import export_sequence
from sray.mapping.voxel_map import VoxelMap
from sray.model import SemanticRay, SemanticRayConfig
from sray_train.data.sens import SensRecording

TIMES = int(os.environ.get("SRAY_FUZZ", "1"))
MEMORY = 1 << 30
"""Bytes a reader may ask for beyond what the process has; a real file of these sizes needs a hundredth."""
EXPECTED = {FileError, ModelError}
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 7, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 0.5, -0.0, 1e300,
    float("nan"), float("inf"), float("-inf"), "", "0", "F16", "U8", "BOOL", "\ud800", "a\nb", "x" * 3000,
    [], {}, [[]], [-1], [0, 0], [2**40, 2**40], {"a": 1}, "@deep@", "@digits@",
)  # fmt: skip
FIELDS = {
    "version": ("<I", 0), "name": ("<Q", 4), "matrix": ("<f", 27), "color codec": ("<i", 283),
    "depth codec": ("<i", 287), "width": ("<I", 291), "height": ("<I", 295), "depth width": ("<I", 299),
    "depth height": ("<I", 303), "units": ("<f", 307), "frames": ("<Q", 311), "pose": ("<f", 319),
    "stamp": ("<Q", 383), "color bytes": ("<Q", 399), "depth bytes": ("<Q", 407),
}  # fmt: skip
"""Where what stands in a .sens file whose sensor has a name of 15 letters."""

NUMBERS = (0, 1, 2, 3, 25, 16384, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
Read = Callable[[Path], object]


@pytest.fixture
def memory() -> Iterator[None]:
    """Asking for more than MEMORY fails while the test runs."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def damaged(content: bytes, random: np.random.Generator, early: int) -> bytes:
    """Flipped, set, cut, inserted, repeated or swapped bytes; half of the time among the first `early`."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        end = max(1, min(early, len(data)) if random.random() < 0.5 else len(data))
        at, length = int(random.integers(0, end)), int(random.integers(1, 40))
        kind = random.integers(0, 6)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << random.integers(0, 8)
        elif kind == 1:
            data[at : at + length] = bytes([random.choice([0, 0x7F, 0x80, 0xFF])]) * length
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = random.bytes(length)
        elif kind == 4:
            data[at:at] = data[at : at + length]
        else:
            del data[at : at + length]
    return bytes(data)


def only_sray_errors(read: Read, path: Path, cases: Iterator[tuple[str, bytes]]) -> dict[str, int]:
    """Read each; returns how many were read, and how many refused."""
    outcomes = {"read": 0, "refused": 0}
    for name, content in cases:
        path.write_bytes(content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numbers that overflow are the file's
                read(path)
            outcomes["read"] += 1
        except SrayError as error:
            assert type(error) in EXPECTED, f"{name}: {error}"
            str(error).encode()  # it is sent over ROS and printed
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{name}: {error!r} instead of a SrayError") from error
    return outcomes


def damages(content: bytes, count: int, early: int) -> Iterator[tuple[str, bytes]]:
    for seed in range(count * TIMES):
        yield f"damaged, seed {seed}", damaged(content, np.random.default_rng(seed), early)


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


@pytest.fixture(scope="module")
def sens() -> bytes:
    return sens_of((2, 1))


def written(write: Callable[[Path], object]) -> bytes:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"sray-fuzz-{os.getpid()}.safetensors"
    write(path)
    content = path.read_bytes()
    path.unlink()
    return content


def sens_of(codecs: tuple[int, int]) -> bytes:
    scene = PlaneScene(width=24, height=18)
    k = scene.camera((0, 0, 0)).intrinsics.double().numpy()
    frames = [scene.frame((0.1 * number, 0.0, 0.0)) for number in range(2)]
    return b"".join(
        [
            sens_header(k, k, (24, 18), (24, 18), 2, codecs=codecs, sensor=b"StructureSensor"),
            *(
                sens_frame(f.camera.world_from_camera.numpy(), f.image.numpy(), f.depth.numpy(), codecs=codecs)
                for f in frames
            ),
            MOTION_READINGS,
        ]
    )


def read_all_of_sens(path: Path) -> None:
    recording = SensRecording.open(path, NYU40)
    for position in range(len(recording)):
        recording[position]


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


@pytest.mark.fault(
    "a .sens file's bytes are flipped, cut or inserted",
    code="BAD_FILE",
    says="the command's last line",
    recovery="download the file again",
)
@pytest.mark.parametrize("codecs", [(0, 0), (1, 1), (2, 1)])
def test_of_a_damaged_sens_file_only_sray_errors_come(codecs: tuple[int, int], tmp_path: Path, memory: None) -> None:
    outcomes = only_sray_errors(read_all_of_sens, tmp_path / "f.sens", damages(sens_of(codecs), 800, 700))
    assert outcomes["refused"] > 300 * TIMES
    assert outcomes["read"] > 0


@pytest.mark.fault(
    "a .sens file's header claims sizes, counts or cameras that cannot be",
    code="BAD_FILE",
    says="the command's last line",
    recovery="download the file again",
)
def test_of_a_sens_file_that_lies_only_sray_errors_come(sens: bytes, tmp_path: Path, memory: None) -> None:
    def cases() -> Iterator[tuple[str, bytes]]:
        for seed in range(1500 * TIMES):
            random = np.random.default_rng(seed)
            data, names = bytearray(sens), []
            for _ in range(random.integers(1, 4)):
                name = list(FIELDS)[random.integers(0, len(FIELDS))]
                kind, at = FIELDS[name]
                at += 4 * int(random.integers(0, 64 if name == "matrix" else 16)) if kind == "<f" and at != 307 else 0
                if kind == "<f":
                    value = struct.pack(kind, random.choice([0, -1, 1e-30, 1e30, 3e38, np.nan, np.inf, -np.inf, 2.5]))
                else:
                    size = struct.calcsize(kind)
                    number = NUMBERS[random.integers(0, len(NUMBERS))]
                    value = (number if random.random() < 0.5 else 2**64 - 1 - number).to_bytes(8, "little")[:size]
                data[at : at + len(value)] = value
                names.append(f"{name} at {at}: {value.hex()}")
            yield f"seed {seed}, {names}", bytes(data)

    assert sens[FIELDS["frames"][1]] == 2 and sens[FIELDS["width"][1]] == 24, "the fields are where they are looked for"
    outcomes = only_sray_errors(read_all_of_sens, tmp_path / "f.sens", cases())
    assert outcomes["refused"] > 500 * TIMES
    assert outcomes["read"] > 0


@pytest.mark.fault(
    "pictures of a few kilobytes in a .sens file swell to gigabytes",
    code="BAD_FILE",
    says="the command's last line",
    recovery="download the file again",
)
@pytest.mark.parametrize("what", ["color", "depth", "header"])
def test_pictures_that_swell_are_refused_before_they_do(what: str, tmp_path: Path, memory: None) -> None:
    k = np.array([[20.0, 0, 12], [0, 20, 9], [0, 0, 1]])
    color = cv2.imencode(".png", np.zeros((18, 24, 3), np.uint8))[1].tobytes()
    depth = zlib.compress(bytes(24 * 18 * 2))
    size = (24, 18)
    if what == "color":  # 30000 x 30000 in its own header alone
        claim = b"IHDR" + struct.pack(">II", 30_000, 30_000) + color[24:29]
        color = color[:12] + claim + struct.pack(">I", zlib.crc32(claim)) + color[33:]
    elif what == "depth":
        packer = zlib.compressobj(1)
        depth = b"".join(packer.compress(bytes(1 << 24)) for _ in range(200)) + packer.flush()
    else:
        size = (16_384, 16_384)
    frame = struct.pack("<16f", *np.eye(4).ravel()) + struct.pack("<QQQQ", 0, 7, len(color), len(depth))
    path = tmp_path / "bomb.sens"
    path.write_bytes(sens_header(k, k, size, size, 1, codecs=(1, 1)) + frame + color + depth)
    with pytest.raises(SrayError, match=r"bomb\.sens") as caught:
        read_all_of_sens(path)
    assert isinstance(caught.value, FileError)
