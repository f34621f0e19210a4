"""Damaged .sens files by the hundred, and those that lie: only a SrayError may come out, and in little memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import PlaneScene
from dataset_fixtures.scannet import MOTION_READINGS, sens_frame, sens_header
from fuzzing import TIMES, damages, only_sray_errors

from sray.errors import FileError, SrayError
from sray.label_space import NYU40
from sray_train.data.sens import SensRecording

FIELDS = {
    "version": ("<I", 0), "name": ("<Q", 4), "matrix": ("<f", 27), "color codec": ("<i", 283),
    "depth codec": ("<i", 287), "width": ("<I", 291), "height": ("<I", 295), "depth width": ("<I", 299),
    "depth height": ("<I", 303), "units": ("<f", 307), "frames": ("<Q", 311), "pose": ("<f", 319),
    "stamp": ("<Q", 383), "color bytes": ("<Q", 399), "depth bytes": ("<Q", 407),
}  # fmt: skip
"""Where what stands in a .sens file whose sensor has a name of 15 letters."""

NUMBERS = (0, 1, 2, 3, 25, 16384, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)


@pytest.fixture(scope="module")
def sens() -> bytes:
    return sens_of((2, 1))


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
