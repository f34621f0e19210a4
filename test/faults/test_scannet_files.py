"""Damaged, foreign and incomplete files of ScanNet: named, with what was expected, and the repair is enough."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from dataset_fixtures.refusals import read_all, refused
from dataset_fixtures.relief import POSES, pinhole, render, views
from dataset_fixtures.scannet import (
    LOST,
    MOTION_READINGS,
    NYU40_IDS,
    RAW_IDS,
    TABLE,
    sens_frame,
    sens_header,
    write_folder,
    write_label_archive,
    write_table,
)

from sray.label_space import NYU40
from sray_train.data.scannet import open_folder, open_scannet
from sray_train.data.sens import SensRecording

SIZE = (24, 18)
K = pinhole(*SIZE, 16)
VIEWS = views(K, *SIZE)[:3]


# .sens


def sens_bytes(frames: list[bytes] | None = None, **header: object) -> bytes:
    codecs = header.get("codecs", (2, 1))
    if frames is None:
        frames = [sens_frame(view.pose, view.rgb, view.depth) for view in VIEWS]
    return sens_header(K, K, SIZE, SIZE, len(frames), **{**header, "codecs": codecs}) + b"".join(frames)


@pytest.fixture
def sens(tmp_path: Path) -> Path:
    (tmp_path / "scene0000_00.sens").write_bytes(sens_bytes() + MOTION_READINGS)
    return tmp_path / "scene0000_00.sens"


HEADER = len(sens_bytes([]))
FIRST_FRAME = len(sens_bytes([sens_frame(VIEWS[0].pose, VIEWS[0].rgb, VIEWS[0].depth)]))


@pytest.mark.parametrize("length", [0, 3, 4, 11, 20, 200, HEADER - 1, HEADER, HEADER + 50, FIRST_FRAME, -1])
def test_a_file_cut_short_is_named(sens: Path, length: int) -> None:
    whole = sens.read_bytes()
    end = len(whole) - len(MOTION_READINGS)
    sens.write_bytes(whole[:length] if length >= 0 else whole[: end - 1])
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), "cut short", "Download")
    sens.write_bytes(whole)
    read_all(SensRecording.open(sens, NYU40))


@pytest.mark.parametrize("length", [0, 4, 100])
def test_motion_readings_may_be_missing_or_cut(sens: Path, length: int) -> None:
    """They are not read."""
    whole = sens.read_bytes()
    sens.write_bytes(whole[: len(whole) - len(MOTION_READINGS) + length])
    read_all(SensRecording.open(sens, NYU40))


@pytest.mark.parametrize("number", [0, 3, 5, 0x474E5089], ids=["0", "3", "5", "a PNG"])
def test_another_version_is_named(sens: Path, number: int) -> None:
    sens.write_bytes(struct.pack("<I", number) + sens.read_bytes()[4:])
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), f"version {number} ", "version 4")


@pytest.mark.parametrize(
    ("codecs", "said"),
    [
        ((2, 2), "depth in codec occi"),
        ((2, 7), "depth in codec number 7"),
        ((2, -1), "depth in codec number -1"),
        ((3, 1), "color in codec number 3"),
        ((-1, 1), "color in codec number -1"),
    ],
)
def test_a_codec_that_is_not_read_is_named_with_the_way_out(sens: Path, codecs: tuple[int, int], said: str) -> None:
    sens.write_bytes(sens_bytes([], codecs=codecs))
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), said, "SensReader")


@pytest.mark.parametrize("units", [0.0, -1000.0, float("nan")])
def test_depth_without_a_unit_is_refused(sens: Path, units: float) -> None:
    sens.write_bytes(sens_bytes(units=units))
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), "units a meter")


@pytest.mark.parametrize("which", ["color", "depth"])
@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3)), np.full((3, 3), np.nan), -np.eye(3)], ids=["0", "nan", "negative"]
)
def test_a_missing_calibration_is_refused(sens: Path, which: str, matrix: np.ndarray) -> None:
    pair = (matrix, K) if which == "color" else (K, matrix)
    sens.write_bytes(sens_header(*pair, SIZE, SIZE, 0))
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), f"no {which} calibration")


def test_absurd_counts_and_sizes_are_refused_at_once(sens: Path) -> None:
    """A damaged header must not cost minutes or memory."""
    for content in (
        sens_header(K, K, SIZE, SIZE, 1 << 60),
        sens_header(K, K, (1 << 31, 1 << 31), SIZE, 0),
        sens_header(K, K, (0, 0), SIZE, 0),
        struct.pack("<IQ", 4, 1 << 62) + bytes(400),
        sens_header(K, K, SIZE, SIZE, 1) + bytes(80) + struct.pack("<QQ", 1 << 63, 1 << 63) + bytes(100),
    ):
        sens.write_bytes(content)
        refused(lambda: SensRecording.open(sens, NYU40), str(sens))


def test_a_file_of_lost_poses_says_so(sens: Path) -> None:
    sens.write_bytes(sens_bytes([sens_frame(LOST, VIEWS[0].rgb, VIEWS[0].depth)] * 2))
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), "2 frames: pose is not finite")
    sens.write_bytes(sens_bytes([]))
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), "no usable frame")


@pytest.mark.parametrize(
    ("codecs", "offset", "said"),
    [((2, 1), 0, "color that cannot be decoded"), ((2, 1), -8, "depth that cannot be inflated")],
)
def test_a_damaged_picture_is_named_by_file_and_frame(sens: Path, codecs, offset: int, said: str) -> None:
    recording = SensRecording.open(sens, NYU40)
    record = recording.index[1]
    at = int(record["at"]) + (0 if offset == 0 else int(record["color_bytes"]))
    length = int(record["color_bytes"]) if offset == 0 else int(record["depth_bytes"])
    content = bytearray(sens.read_bytes())
    content[at : at + length] = bytes(length)
    sens.write_bytes(bytes(content))
    recording[0]
    refused(lambda: recording[1], str(sens), "frame 1 ", said, "Download")


def test_pictures_of_differing_size_are_named(sens: Path) -> None:
    other = render(pinhole(32, 24, 20), POSES[1], 32, 24)
    frames = [sens_frame(view.pose, view.rgb, VIEWS[0].depth) for view in (VIEWS[0], other)]
    sens.write_bytes(sens_bytes(frames))
    refused(lambda: SensRecording.open(sens, NYU40)[1], str(sens), "32x24", "24x18")
    raw = [sens_frame(VIEWS[0].pose, other.rgb, VIEWS[0].depth, codecs=(0, 1))]
    sens.write_bytes(sens_bytes(raw, codecs=(0, 1)))
    refused(lambda: SensRecording.open(sens, NYU40)[0], str(sens), "frame 0 ", f"{32 * 24 * 3} bytes")
    deep = [sens_frame(VIEWS[0].pose, VIEWS[0].rgb, other.depth)]
    sens.write_bytes(sens_bytes(deep))
    refused(lambda: SensRecording.open(sens, NYU40)[0], str(sens), "frame 0 ", f"{32 * 24 * 2} bytes of depth")


def test_a_file_that_is_gone_or_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.sens").mkdir()
    for name in ("nowhere.sens", "folder.sens"):
        refused(lambda name=name: SensRecording.open(tmp_path / name, NYU40), name)


# Labels of ScanNet


def write_labels(sens: Path, **which: object) -> Path:
    write_table(sens.parent / TABLE, **which)  # type: ignore[arg-type]
    return write_label_archive(sens.parent / "scene0000_00_2d-label-filt.zip", VIEWS, RAW_IDS)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04garbage", b"no zip"], ids=["empty", "garbage", "text"])
def test_a_damaged_label_archive_is_named(sens: Path, content: bytes) -> None:
    write_labels(sens).write_bytes(content)
    refused(lambda: open_scannet(sens, NYU40), "scene0000_00_2d-label-filt.zip", "Download")


def test_an_archive_without_a_frame_is_named(sens: Path) -> None:
    write_labels(sens)
    write_label_archive(sens.parent / "scene0000_00_2d-label-filt.zip", VIEWS[:2], RAW_IDS)
    recording = open_scannet(sens, NYU40)
    recording[1]
    refused(lambda: recording[2], "2.png", "2d-label-filt.zip")


def test_an_archive_without_pictures_is_named(sens: Path) -> None:
    write_labels(sens)
    write_label_archive(sens.parent / "scene0000_00_2d-label-filt.zip", [], RAW_IDS)
    refused(lambda: open_scannet(sens, NYU40), "2d-label-filt.zip", "no N.png")


def test_a_damaged_picture_in_an_archive_is_named(sens: Path) -> None:
    archive = write_labels(sens)
    content = archive.read_bytes()
    at = content.index(b"label-filt/1.png") + 30
    archive.write_bytes(content[:at] + bytes(20) + content[at + 20 :])
    recording = open_scannet(sens, NYU40, "scannet")
    recording[0]
    refused(lambda: recording[1], "1.png", "2d-label-filt.zip")


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    write_table(tmp_path / TABLE)
    return write_folder(tmp_path / "scene0000_00", VIEWS, K, RAW_IDS)


@pytest.mark.parametrize("column", ["id", "nyu40id"])
def test_a_table_without_a_column_is_named(exported: Path, column: str) -> None:
    write_table(exported.parent / TABLE, tuple({"id", "category", "nyu40id"} - {column}))
    for label_ids in ("auto", "scannet"):
        refused(lambda ids=label_ids: open_folder(exported, NYU40, ids), TABLE, f"no column {column}", "category")
    write_table(exported.parent / TABLE)
    read_all(open_folder(exported, NYU40))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column id"),
        ("id\tnyu40id\n1\twall\n", "line 2"),
        ("id\tnyu40id\n1\t1\n2\t\n", "line 3"),
        ("id\tnyu40id\n1\t1\n2\n", "line 3"),
        ("id\tnyu40id\n1\t41\n", "0 to 40"),
        ("id\tnyu40id\n70000\t1\n", "below 65536"),
        ("id,nyu40id\n1,1\n", "no column id"),
    ],
)
def test_a_table_that_is_none_is_named(exported: Path, text: str, said: str) -> None:
    (exported.parent / TABLE).write_text(text)
    refused(lambda: open_folder(exported, NYU40), TABLE, said)


def test_a_table_in_another_encoding_is_named(exported: Path) -> None:
    (exported.parent / TABLE).write_bytes(b"\xff\xfei\x00d\x00\t\x00")
    refused(lambda: open_folder(exported, NYU40), TABLE)


@pytest.mark.parametrize("label_ids", ["auto", "scannet"])
def test_raw_ids_without_the_table_say_where_it_was_looked_for(exported: Path, label_ids) -> None:
    (exported.parent / TABLE).unlink()
    refused(
        lambda: open_folder(exported, NYU40, label_ids, exported.parent),
        f"no {TABLE} in {exported}, {exported.parent}",
        "--label-ids (of a config: data.label_ids) nyu40",
    )


def test_auto_does_not_guess_where_both_readings_make_sense(exported: Path) -> None:
    """16 bits, small ids only, a table near: NYU40's written wide, or a room of ScanNet's commonest classes."""
    write_folder(exported.parent / "recorded", VIEWS, K, NYU40_IDS)
    refused(lambda: open_folder(exported.parent / "recorded", NYU40), "recorded", "--label-ids (", "nyu40 or scannet")


def test_ids_that_are_neither_are_refused(exported: Path) -> None:
    """Raw ids squeezed into 8 bits, or another dataset's."""
    write_folder(exported.parent / "odd", VIEWS, K, {**NYU40_IDS, "wall": 200}, np.uint8)
    refused(lambda: open_folder(exported.parent / "odd", NYU40), "id 200 in 8 bits")
    read_all(open_folder(exported.parent / "odd", NYU40, "nyu40"))


def test_a_damaged_label_picture_stops_only_its_frame(exported: Path) -> None:
    (exported / "label-filt" / "0.png").write_bytes(b"no picture")
    recording = open_folder(exported, NYU40)
    recording[1]
    refused(lambda: recording[0], "0.png")
