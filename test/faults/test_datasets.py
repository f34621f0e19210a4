"""Damaged, foreign and incomplete datasets: the file is named, what was expected is said, and the repair is enough."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from dataset_fixtures.colour_only import write_blender, write_llff
from dataset_fixtures.relief import POSES, pinhole, render, views
from dataset_fixtures.replica import write_sequence
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

from sray.errors import ErrorCode, SrayError
from sray.label_space import NYU40
from sray_train.datasets.blender import BlenderRecording
from sray_train.datasets.llff import LlffRecording
from sray_train.datasets.replica import ReplicaRecording
from sray_train.datasets.scannet import open_folder, open_scannet
from sray_train.datasets.sens import SensRecording

SIZE = (24, 18)
K = pinhole(*SIZE, 16)
VIEWS = views(K, *SIZE)[:3]


def refused(act: Callable[[], object], *said: str) -> None:
    with pytest.raises(SrayError) as caught:
        act()
    assert caught.value.code == ErrorCode.BAD_FILE
    for text in said:
        assert text in str(caught.value)


def read_all(recording) -> None:
    for position in range(len(recording)):
        recording[position]


def resized_picture(path: Path) -> None:
    """The same picture, a third larger."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), cv2.resize(picture, None, fx=4 / 3, fy=4 / 3, interpolation=cv2.INTER_NEAREST))


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
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), "cut short", "download")
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
        ((3, 1), "colour in codec number 3"),
        ((-1, 1), "colour in codec number -1"),
    ],
)
def test_a_codec_that_is_not_read_is_named_with_the_way_out(sens: Path, codecs: tuple[int, int], said: str) -> None:
    sens.write_bytes(sens_bytes([], codecs=codecs))
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), said, "SensReader")


@pytest.mark.parametrize("units", [0.0, -1000.0, float("nan")])
def test_depth_without_a_unit_is_refused(sens: Path, units: float) -> None:
    sens.write_bytes(sens_bytes(units=units))
    refused(lambda: SensRecording.open(sens, NYU40), str(sens), "units a metre")


@pytest.mark.parametrize("which", ["colour", "depth"])
@pytest.mark.parametrize(
    "matrix", [np.zeros((3, 3)), np.full((3, 3), np.nan), -np.eye(3)], ids=["0", "nan", "negative"]
)
def test_a_missing_calibration_is_refused(sens: Path, which: str, matrix: np.ndarray) -> None:
    pair = (matrix, K) if which == "colour" else (K, matrix)
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
    [((2, 1), 0, "colour that cannot be decoded"), ((2, 1), -8, "depth that cannot be inflated")],
)
def test_a_damaged_picture_is_named_by_file_and_frame(sens: Path, codecs, offset: int, said: str) -> None:
    recording = SensRecording.open(sens, NYU40)
    record = recording.index[1]
    at = int(record["at"]) + (0 if offset == 0 else int(record["colour_bytes"]))
    length = int(record["colour_bytes"]) if offset == 0 else int(record["depth_bytes"])
    content = bytearray(sens.read_bytes())
    content[at : at + length] = bytes(length)
    sens.write_bytes(bytes(content))
    recording[0]
    refused(lambda: recording[1], str(sens), "frame 1 ", said, "download")


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
    refused(lambda: open_scannet(sens, NYU40), "scene0000_00_2d-label-filt.zip", "download")


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
        "label_ids nyu40",
    )


def test_auto_does_not_guess_where_both_readings_make_sense(exported: Path) -> None:
    """16 bits, small ids only, a table near: NYU40's written wide, or a room of ScanNet's commonest classes."""
    write_folder(exported.parent / "recorded", VIEWS, K, NYU40_IDS)
    refused(lambda: open_folder(exported.parent / "recorded", NYU40), "recorded", "label_ids nyu40 or scannet")


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


# Replica


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    return write_sequence(tmp_path / "room_0" / "Sequence_1", VIEWS)


@pytest.mark.parametrize("name", ["rgb/rgb_1.png", "depth/depth_1.png", "semantic_class/semantic_class_1.png"])
@pytest.mark.parametrize("content", [None, b"", b"\x00garbage"], ids=["missing", "empty", "garbage"])
def test_a_damaged_picture_of_replica_is_named(replica: Path, name: str, content: bytes | None) -> None:
    recording = ReplicaRecording.open(replica, NYU40)
    (replica / name).unlink()
    if content is not None:
        (replica / name).write_bytes(content)
    recording[0]
    refused(lambda: recording[1], name)


def test_a_picture_of_replica_of_another_size_is_named(replica: Path) -> None:
    resized_picture(replica / "rgb" / "rgb_1.png")
    refused(lambda: ReplicaRecording.open(replica, NYU40)[1], "rgb_1.png", "32x24", "24x18")


@pytest.mark.parametrize("kind", ["depth", "semantic_class"])
def test_the_wrong_kind_of_picture_is_named(replica: Path, kind: str) -> None:
    """The coloured pictures that lie beside, or depth in 8 bits."""
    path = replica / kind / f"{kind}_1.png"
    path.write_bytes((replica / "semantic_class" / "vis_sem_class_1.png").read_bytes())
    refused(lambda: ReplicaRecording.open(replica, NYU40)[1], path.name)


@pytest.mark.parametrize("text", ["", "1 2 3\n", "a b c d\n", "1 0 0 0 0\n"], ids=["empty", "row", "words", "five"])
def test_a_trajectory_that_is_none_is_named(replica: Path, text: str) -> None:
    (replica / "traj_w_c.txt").write_text(text)
    refused(lambda: ReplicaRecording.open(replica, NYU40), "traj_w_c.txt", "16 numbers")


def test_a_missing_trajectory_or_pictures_are_named(replica: Path) -> None:
    (replica / "traj_w_c.txt").unlink()
    refused(lambda: ReplicaRecording.open(replica, NYU40), "traj_w_c.txt")
    refused(lambda: ReplicaRecording.open(replica.parent, NYU40), "rgb_N.png")


# Realistic Synthetic 360


@pytest.fixture
def lego(tmp_path: Path) -> Path:
    return write_blender(tmp_path / "lego", VIEWS, 16)


def changed(path: Path, change: Callable[[dict], object]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.pop("camera_angle_x"), "camera_angle_x None"),
        (lambda r: r.update(camera_angle_x=40), "camera_angle_x 40"),
        (lambda r: r.update(camera_angle_x="0.7"), "camera_angle_x '0.7'"),
        (lambda r: r.pop("frames"), "no list of frames"),
        (lambda r: r.update(frames=[]), "no usable frame"),
        (lambda r: r["frames"][1].pop("transform_matrix"), "frame 1"),
        (lambda r: r["frames"][1].update(transform_matrix=[[1, 2], [3, 4]]), "frame 1"),
        (lambda r: r["frames"][1].pop("file_path"), "file_path None in frame 1"),
        (lambda r: r["frames"].__setitem__(1, 7), "frame 1"),
    ],
)
def test_transforms_that_are_none_are_named(lego: Path, change: Callable[[dict], object], said: str) -> None:
    changed(lego / "transforms_train.json", change)
    refused(lambda: BlenderRecording.open(lego), "transforms_train.json", said)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_file_that_is_no_scene_is_named(lego: Path, text: str) -> None:
    (lego / "transforms_train.json").write_text(text)
    refused(lambda: BlenderRecording.open(lego), "transforms_train.json")


@pytest.mark.parametrize("factors", [(2, 2, 2, 1), (-1, 1, 1, 1), (0, 0, 0, 1)], ids=["scaled", "mirrored", "empty"])
def test_a_pose_that_is_no_motion_is_skipped_and_counted(lego: Path, factors: tuple[int, ...]) -> None:
    pose = (np.diag(factors) @ VIEWS[1].pose).tolist()
    changed(lego / "transforms_train.json", lambda r: r["frames"][1].update(transform_matrix=pose))
    assert BlenderRecording.open(lego).skipped == {"pose is no rotation and translation": [1]}


def test_a_missing_or_larger_picture_of_a_scene_is_named(lego: Path) -> None:
    resized_picture(lego / "train" / "r_1.png")
    refused(lambda: BlenderRecording.open(lego)[1], "r_1.png", "32x24", "24x18")
    (lego / "train" / "r_1.png").unlink()
    refused(lambda: BlenderRecording.open(lego)[1], "r_1.png", "missing")
    cv2.imwrite(str(lego / "train" / "r_1.png"), np.zeros((18, 24), np.uint8))
    refused(lambda: BlenderRecording.open(lego)[1], "r_1.png", "8-bit colour")


# Real Forward-facing


@pytest.fixture
def fern(tmp_path: Path) -> Path:
    write_llff(tmp_path / "fern", 96, 72, 64, [(1, 6)] * 4)
    return tmp_path / "fern"


def test_poses_and_pictures_of_different_number_are_named(fern: Path) -> None:
    (fern / "images_4" / "image001.png").unlink()
    refused(lambda: LlffRecording.open(fern, 24), "poses_bounds.npy", "4 poses for 3 pictures in images_4/")
    read_all(LlffRecording.open(fern, 96))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:, :14], "shape (4, 14)"),
        (lambda rows: rows[0], "shape (17,)"),
        (lambda rows: np.concatenate([rows[:, :15], rows[:, 16:], rows[:, 15:16]], 1), "near and far"),
        (lambda rows: rows * ([1] * 15 + [0, 1]), "near and far"),
        (lambda rows: rows * ([1] * 14 + [0, 1, 1]), "focal length"),
    ],
    ids=["columns", "one row", "swapped bounds", "near of 0", "focal length of 0"],
)
def test_poses_that_are_none_are_named(fern: Path, change: Callable[[np.ndarray], np.ndarray], said: str) -> None:
    np.save(fern / "poses_bounds.npy", change(np.load(fern / "poses_bounds.npy")))
    refused(lambda: LlffRecording.open(fern), "poses_bounds.npy", said)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"text"], ids=["empty", "cut", "text"])
def test_a_damaged_array_is_named(fern: Path, content: bytes) -> None:
    (fern / "poses_bounds.npy").write_bytes(content)
    refused(lambda: LlffRecording.open(fern), "poses_bounds.npy")


def test_a_pickle_is_not_opened(fern: Path) -> None:
    np.save(fern / "poses_bounds.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(lambda: LlffRecording.open(fern), "poses_bounds.npy")


def test_photographs_of_differing_size_or_none_are_named(fern: Path) -> None:
    resized_picture(fern / "images_4" / "image001.png")
    refused(lambda: LlffRecording.open(fern, 24)[1], "image001.png", "32x24", "24x18")
    for folder in ("images", "images_4"):
        (fern / folder).rename(fern / f"no_{folder}")
    refused(lambda: LlffRecording.open(fern), "images_4")
