"""Bags and messages damaged at random, seeded: whatever is read of them, only an SrayError comes out, and soon.

SRAY_FUZZ_CASES multiplies the cases; a failure names its seed, and `-k` with it runs that batch again.
"""

from __future__ import annotations

import array
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from bag_fixtures import make_frames, read_messages, rewrite
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sray.camera_info import read_camera_info
from sray.errors import CalibrationError, FileError, PictureError, SrayError
from sray.label_space import ROOMS
from sray_ros.common.conversions import read_depth, read_image, read_labels
from sray_ros.player.bag_recording import BagRecording
from sray_train.tools.bags import BagEncoding, write_bag
from sray_train.tools.bags.check import check_bag
from sray_train.tools.bags.names import typestore

TIMES = int(os.environ.get("SRAY_FUZZ_CASES", "1"))
BATCHES = 10
LONGEST = 10.0
"""Seconds for one case, on a machine busy with other things; a case takes milliseconds."""
ABSURD = (0, 1, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One bag of each kind; `plain` says nothing of QoS, whose YAML takes most of the time that reading a bag takes."""
    folder = tmp_path_factory.mktemp("sound")
    frames = make_frames(3)
    write_bag(frames, folder / "mcap", label_space=ROOMS)
    write_bag(frames, folder / "sqlite3", encoding=BagEncoding("sqlite3", 90, "16UC1"), label_space=ROOMS)
    rewrite(folder / "mcap", folder / "plain", lambda message: (*message[:4], []))
    return {path.name: path for path in folder.iterdir()}


def spoil(content: bytes, random: Random) -> bytes:
    """One to four of: bits flipped, a run overwritten, a length made absurd, bytes cut out, put in, or cut off."""
    spoilt = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(max(1, len(spoilt)))
        if random.random() < 0.5:  # headers and indices stand at both ends
            at = min(at, random.randrange(1, 600)) if random.random() < 0.5 else max(0, len(spoilt) - at % 2500 - 1)
        kind = random.randrange(7)
        if kind == 0 and spoilt:
            spoilt[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            spoilt[at : at + random.randint(1, 64)] = random.randbytes(random.randint(1, 64))
        elif kind == 2:
            spoilt[at : at + 8] = struct.pack("<Q", random.choice(ABSURD))
        elif kind == 3:
            spoilt[at : at + 4] = struct.pack("<I", random.choice(ABSURD) & 0xFFFFFFFF)
        elif kind == 4:
            del spoilt[at : at + random.randint(1, 200)]
        elif kind == 5:
            spoilt[at:at] = random.randbytes(random.randint(1, 40))
        elif random.random() < 0.2:
            del spoilt[at:]
    return bytes(spoilt)


YAML_WORDS = ("", "null", "-1", "1e309", "99999999999999999999999", "[[[[", "{}", "&a [*a]", "!!python/none", "\0",
              "ÿ", "'", "- ", ": ", "true", "../../etc/passwd", "/dev/zero", "zstd", "file", "sqlite3", "mcap",
              "unknown")  # fmt: skip


def spoil_yaml(text: str, random: Random) -> bytes:
    """Values, keys and lines changed; sometimes bytes as well."""
    lines = text.splitlines()
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(lines))
        kind = random.randrange(5)
        if kind < 2 and ":" in lines[at]:
            lines[at] = lines[at].partition(":")[0] + ": " + random.choice(YAML_WORDS)
        elif kind == 2:
            del lines[at]
        elif kind == 3:
            lines.insert(at, lines[random.randrange(len(lines))])
        else:
            lines[at] = lines[at].replace(random.choice("abcdeimnorst_"), random.choice(YAML_WORDS), 1)
        lines = lines or [""]
    content = "\n".join(lines).encode()
    return spoil(content, random) if random.random() < 0.3 else content


def only_sray_errors(seed: str, act: Callable[[], Any], expected: tuple[type[SrayError], ...]) -> bool:
    """Whether it was refused; fails with the seed if anything else came out, or not soon."""
    begun = time.monotonic()
    try:
        act()
        refused = False
    except SrayError as error:
        assert type(error) in expected and len(str(error)) < 3000, f"{seed}: {error}"
        refused = True
    except BaseException as error:
        raise AssertionError(f"{seed}: {type(error).__name__} came out: {error}") from error
    assert time.monotonic() - begun < LONGEST, f"{seed}: took {time.monotonic() - begun:.1f} s"
    return refused


def play(folder: Path) -> None:
    for step in BagRecording.open(folder).steps():
        assert all(isinstance(message, bytes) for _, message in step.messages)


def use(folder: Path, seed: str) -> tuple[bool, bool]:
    """Checked and played: whether something was found wrong, and whether playing was refused."""
    found = []

    def check() -> None:
        result = check_bag(folder)
        found.extend(row for row in result.rows if row.verdict != "ok")
        result.record()

    only_sray_errors(seed, check, (FileError,))
    return bool(found), only_sray_errors(seed, lambda: play(folder), (FileError,))


@pytest.mark.fault(
    "a bag damaged on disk: bits, lengths, cut short, metadata",
    code="BAD_FILE",
    says="sray bag --check, or the player's last line",
    recovery="as the check's remedy says; a whole copy plays",
)
@pytest.mark.parametrize("batch", range(BATCHES))
@pytest.mark.parametrize(("kind", "cases"), [("plain", 80), ("mcap", 8), ("sqlite3", 8)])
def test_spoilt_storage(sound: dict[str, Path], tmp_path: Path, kind: str, cases: int, batch: int) -> None:
    folder = shutil.copytree(sound[kind], tmp_path / kind)
    storage = next(path for path in folder.iterdir() if path.suffix != ".yaml")
    content = storage.read_bytes()
    noticed = 0
    for number in range(cases * TIMES):
        seed = f"{kind} {batch} {number}"
        storage.write_bytes(spoil(content, Random(seed)))
        found, refused = use(storage if kind == "plain" else folder, seed)
        noticed += found or refused
    assert noticed > cases * TIMES / 10, "the damage did not even reach anything"
    storage.write_bytes(content)
    found, refused = use(folder, "sound again")
    assert not refused and found == (kind == "plain"), "without QoS, /tf_static is not latched"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_spoilt_metadata(sound: dict[str, Path], tmp_path: Path, batch: int) -> None:
    folder = shutil.copytree(sound["mcap"], tmp_path / "mcap")
    text = (folder / "metadata.yaml").read_text()
    noticed = 0
    for number in range(12 * TIMES):
        seed = f"metadata {batch} {number}"
        (folder / "metadata.yaml").write_bytes(spoil_yaml(text, Random(seed)))
        found, refused = use(folder, seed)
        noticed += found or refused
    assert noticed > 3 * TIMES
    (folder / "metadata.yaml").write_text(text)
    assert not use(folder, "sound again")[0]


@pytest.fixture(scope="module")
def messages(sound: dict[str, Path]) -> dict[str, list[Any]]:
    return {kind: [(*message[:4], []) for message in read_messages(sound[kind])] for kind in ("mcap", "sqlite3")}


@pytest.mark.parametrize("kind", ["mcap", "sqlite3"])
@pytest.mark.parametrize("batch", range(BATCHES))
def test_spoilt_messages_in_a_sound_file(messages: dict[str, list[Any]], tmp_path: Path, kind: str, batch: int) -> None:
    """Every message of a bag is spoilt, or some of them: 20 messages a bag."""
    for number in range(10 * TIMES):
        seed = f"messages {kind} {batch} {number}"
        random = Random(seed)
        share = random.choice((0.1, 0.5, 1.0))

        def change(message: Any) -> Any:
            topic, name, time_ns, content, qos = message
            raw = bytes(typestore().serialize_cdr(content, name))
            return (topic, name, time_ns, spoil(raw, random) if random.random() < share else raw, qos)  # noqa: B023

        folder = rewrite(messages[kind], tmp_path / f"bag{number}", change)
        use(next(folder.glob("*.mcap")), seed)
        shutil.rmtree(folder)


# The conversions of single messages


def any_size(random: Random) -> int:
    return random.choice((0, 1, 2, 3, 8, 31, 4096, 65535, 2**31 - 1, 2**31, 2**32 - 1))


ENCODINGS = ("rgb8", "bgr8", "rgba8", "mono8", "mono16", "bayer_rggb8", "bayer_gbrg16", "yuv422", "yuv422_yuy2", "uyvy",
             "8UC1", "8UC3", "32FC1", "16UC1", "64FC4", "h264", "", "rgb8\0", "ÿ" * 300, "32FC(3)", "8UC5")  # fmt: skip
UNREADABLE = (PictureError, CalibrationError)


def any_image(random: Random) -> Image:
    small = random.random() < 0.6
    height, width = (random.randint(0, 8), random.randint(0, 8)) if small else (any_size(random), any_size(random))
    step = random.choice((0, width, 3 * width, any_size(random), random.randint(0, 64))) & 0xFFFFFFFF
    message = Image(height=height, width=width, step=step, encoding=random.choice(ENCODINGS))
    message.is_bigendian = random.choice((0, 0, 1, 255))
    message.data = array.array("B", random.randbytes(random.choice((0, 1, 64, 8 * 24, 4096))))
    return message


@pytest.mark.parametrize("batch", range(BATCHES))
def test_absurd_images(batch: int) -> None:
    refused = 0
    for number in range(200 * TIMES):
        seed = f"images {batch} {number}"
        message = any_image(Random(seed))
        refused += only_sray_errors(seed, lambda: read_image(message), UNREADABLE)  # noqa: B023
        only_sray_errors(seed, lambda: read_depth(message), UNREADABLE)  # noqa: B023
        only_sray_errors(seed, lambda: read_labels(message), UNREADABLE)  # noqa: B023
    assert 0 < refused < 200 * TIMES


@pytest.mark.parametrize("batch", range(BATCHES))
def test_spoilt_compressed_images(sound: dict[str, Path], batch: int) -> None:
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    files = [cv2.imencode(ending, picture)[1].tobytes() for ending in (".jpg", ".png")]
    for number in range(30 * TIMES):
        seed = f"compressed {batch} {number}"
        random = Random(seed)
        spoilt = spoil(random.choice(files), random)
        message = CompressedImage(format="jpeg", data=array.array("B", spoilt))
        only_sray_errors(seed, lambda: read_image(message), UNREADABLE)  # noqa: B023


ANY_FLOAT = (0.0, -0.0, 1.0, -1.0, 30.0, 1e-300, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_absurd_camera_infos(batch: int) -> None:
    for number in range(100 * TIMES):
        seed = f"infos {batch} {number}"
        random = Random(seed)
        message = CameraInfo(width=any_size(random), height=any_size(random), k=[30.0, 0, 4, 0, 30, 4, 0, 0, 1])
        message.k = [random.choice(ANY_FLOAT) if random.random() < 0.2 else float(value) for value in message.k]
        message.p = [random.choice(ANY_FLOAT) for _ in range(12)]
        message.d = [random.choice(ANY_FLOAT) for _ in range(random.choice((0, 1, 4, 5, 8, 12, 14, 200)))]
        message.distortion_model = random.choice(("plumb_bob", "equidistant", "", "ÿ", "rational_polynomial"))
        message.binning_x, message.roi.width = random.choice((0, 1, 2**32 - 1)), random.choice((0, 0, 7))

        def act() -> None:
            read_camera_info(message, is_rectified=random.random() < 0.5).of_pictures(8, 8)  # noqa: B023

        only_sray_errors(seed, act, UNREADABLE)
