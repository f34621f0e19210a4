"""A sequence written as a rosbag2 reads back, message by message, as what a robot would have recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from bag_fixtures import make_frame, make_frames
from dataset_fixtures import scannet
from dataset_fixtures.relief import View
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from scipy.spatial.transform import Rotation

from sray.errors import DiskFullError, FileError, PoseError, SrayError
from sray.label_space import INDOOR, ROOMS
from sray_train.cli import main
from sray_train.tools.bags import BagEncoding, BagLayout, write_bag
from sray_train.tools.bags.names import typestore

STORE = typestore()
LAYOUT = BagLayout()


def read(folder: Path) -> dict[str, list[Any]]:
    """Every message by topic, in the order a player meets them."""
    messages: dict[str, list[Any]] = {}
    with Reader(folder) as reader:
        for connection, _, raw in reader.messages():
            messages.setdefault(connection.topic, []).append(STORE.deserialize_cdr(raw, connection.msgtype))
    return messages


def test_every_frame_comes_back_bit_for_bit(tmp_path: Path) -> None:
    frames = [make_frame(1_033_333_333, 1), make_frame(2_066_666_666, 2)]
    summary = write_bag(frames, tmp_path / "bag")
    assert (summary.frames, summary.messages) == (2, 11)
    assert summary.has_depth and summary.has_labels
    messages = read(tmp_path / "bag")
    for position, frame in enumerate(frames):
        image, depth = messages[LAYOUT.image][position], messages[LAYOUT.depth][position]
        labels, info = messages[LAYOUT.labels][position], messages[LAYOUT.camera_info][position]
        for message in (image, depth, labels, info):
            assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == frame.stamp_ns
            assert message.header.frame_id == LAYOUT.optical_frame
            assert (message.width, message.height) == (32, 24)
        assert (image.encoding, image.step) == ("rgb8", 96)
        np.testing.assert_array_equal(image.data.reshape(24, 32, 3), frame.image.numpy())
        assert (depth.encoding, depth.step) == ("32FC1", 128)
        np.testing.assert_array_equal(depth.data.view("<f4").reshape(24, 32), frame.depth.numpy())  # type: ignore[union-attr]
        assert (labels.encoding, labels.step) == ("mono8", 32)
        np.testing.assert_array_equal(labels.data.reshape(24, 32), frame.labels.numpy())  # type: ignore[union-attr]
        np.testing.assert_allclose(info.k, [30, 0, 15.5, 0, 31, 11.5, 0, 0, 1])
        np.testing.assert_allclose(info.p.reshape(3, 4)[:, :3].reshape(-1), info.k)


def test_the_two_transforms_together_are_the_camera_pose(tmp_path: Path) -> None:
    frame = make_frame(10**9, 3)
    write_bag([frame], tmp_path / "bag")
    messages = read(tmp_path / "bag")
    chain = np.eye(4)
    for topic, parent, child in (("/tf", "map", "camera_link"), ("/tf_static", "camera_link", "camera_optical_frame")):
        (stamped,) = messages[topic][0].transforms
        assert (stamped.header.frame_id, stamped.child_frame_id) == (parent, child)
        rotation, offset = stamped.transform.rotation, stamped.transform.translation
        step = np.eye(4)
        step[:3, :3] = Rotation.from_quat([rotation.x, rotation.y, rotation.z, rotation.w]).as_matrix()
        step[:3, 3] = [offset.x, offset.y, offset.z]
        chain = chain @ step
    np.testing.assert_allclose(chain, frame.camera.world_from_camera.numpy(), atol=1e-6)


def test_a_camera_looking_along_the_map_x_axis_has_an_unturned_body() -> None:
    """REP 103: z forward, x right, y down in the optical frame is x forward, y left, z up in the body."""
    from sray_train.tools.bags import OPTICAL_IN_BODY

    axes = Rotation.from_quat(OPTICAL_IN_BODY).as_matrix()
    np.testing.assert_allclose(axes[:, 2], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(axes[:, 0], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(axes[:, 1], [0, 0, -1], atol=1e-12)


def test_the_bag_is_mcap_with_type_hashes_and_a_durable_tf_static(tmp_path: Path) -> None:
    write_bag([make_frame(10**9)], tmp_path / "bag")
    assert [path.suffix for path in sorted((tmp_path / "bag").iterdir())] == [".mcap", ".yaml"]
    with Reader(tmp_path / "bag") as reader:
        by_topic = {connection.topic: connection for connection in reader.connections}
    assert all(connection.digest.startswith("RIHS01_") for connection in by_topic.values())
    durability = {
        topic: connection.ext.offered_qos_profiles[0].durability  # type: ignore[union-attr]
        for topic, connection in by_topic.items()
    }
    assert durability["/tf_static"] == QosDurability.TRANSIENT_LOCAL
    assert durability["/tf"] == durability[LAYOUT.image] == QosDurability.VOLATILE


def test_the_picture_of_a_frame_is_recorded_last(tmp_path: Path) -> None:
    """A player that waits for each picture's render has given the mapper all it needs by then."""
    write_bag([make_frame(10**9)], tmp_path / "bag")
    with Reader(tmp_path / "bag") as reader:
        order = [connection.topic for connection, _, _ in reader.messages()]
    assert order[0] == "/tf_static" and order[-1] == LAYOUT.image


def test_frames_without_depth_and_labels_leave_those_topics_out(tmp_path: Path) -> None:
    summary = write_bag([make_frame(10**9, depth=None, labels=None)], tmp_path / "bag")
    assert not summary.has_depth and not summary.has_labels
    assert set(read(tmp_path / "bag")) == {"/tf", "/tf_static", LAYOUT.image, LAYOUT.camera_info}


def test_an_existing_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "precious.txt").write_text("mine")
    with pytest.raises(SrayError, match="exists already") as caught:
        write_bag([make_frame(10**9)], tmp_path / "bag")
    assert isinstance(caught.value, FileError)
    assert (tmp_path / "bag" / "precious.txt").read_text() == "mine"


def test_no_frame_and_a_broken_frame_leave_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(SrayError, match="no frame"):
        write_bag([], tmp_path / "bag")
    assert not (tmp_path / "bag").exists()

    lost = make_frame(2 * 10**9)
    lost.camera.world_from_camera[0, 3] = float("inf")
    with pytest.raises(SrayError) as caught:
        write_bag([make_frame(10**9), lost], tmp_path / "bag")
    assert isinstance(caught.value, PoseError)
    assert not (tmp_path / "bag").exists()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_compressed_pictures_are_within_the_error_of_jpeg_and_all_else_is_exact(tmp_path: Path, storage: Any) -> None:
    ramp = np.add.outer(np.arange(24) * 4, np.arange(32) * 4).astype(np.uint8)
    smooth = torch.from_numpy(np.stack([ramp, ramp[::-1], np.full_like(ramp, 90)], -1).copy())
    frame = make_frame(10**9, image=smooth)
    write_bag([frame], tmp_path / "bag", encoding=BagEncoding(storage, 95, "16UC1"), label_space=ROOMS)
    assert {path.suffix for path in (tmp_path / "bag").iterdir()} == {".yaml", {"mcap": ".mcap"}.get(storage, ".db3")}
    messages = read(tmp_path / "bag")
    assert LAYOUT.image not in messages
    (picture,) = messages["/image/compressed"]
    assert picture.format == "rgb8; jpeg compressed bgr8"
    assert bytes(picture.data[:3]) == b"\xff\xd8\xff"
    decoded = cv2.cvtColor(cv2.imdecode(picture.data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    error = np.abs(decoded.astype(int) - smooth.numpy())
    assert error.mean() < 2 and error.max() < 16
    (depth,) = messages[LAYOUT.depth]
    assert depth.encoding == "16UC1"
    expected = np.nan_to_num(frame.depth.numpy() * 1000).round()  # type: ignore[union-attr]
    np.testing.assert_array_equal(depth.data.view("<u2").reshape(24, 32), expected)
    np.testing.assert_array_equal(messages[LAYOUT.labels][0].data.reshape(24, 32), frame.labels.numpy())  # type: ignore[union-attr]


def test_what_the_labels_mean_is_latched_beside_them(tmp_path: Path) -> None:
    write_bag(make_frames(2), tmp_path / "bag", label_space=ROOMS)
    (info,) = read(tmp_path / "bag")["/labels/info"]
    named = [(each.class_id, each.class_name) for each in info.class_map]
    assert named == [*enumerate(ROOMS.names), (255, "UNLABELED")]
    with Reader(tmp_path / "bag") as reader:
        (profile,) = next(c for c in reader.connections if c.topic == "/labels/info").ext.offered_qos_profiles
    assert profile.durability == QosDurability.TRANSIENT_LOCAL


def test_a_full_disk_leaves_nothing_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sray_train.tools.bags.writing.Writer.write", full)
    with pytest.raises(SrayError) as caught:
        write_bag(make_frames(2), tmp_path / "bag")
    assert isinstance(caught.value, DiskFullError)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert write_bag(make_frames(2), tmp_path / "bag").frames == 2


def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Any]:
        yield make_frame(10**9)
        assert not (tmp_path / "bag").exists(), "the folder appears when it is whole"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bag(interrupted(), tmp_path / "bag")
    assert not list(tmp_path.iterdir())


# The command


def write_sens(path: Path, spoilt: int, lost: int) -> list[View]:
    """Eight frames in a `.sens` file whose clock starts at zero, one of them no jpeg, and one without a pose."""
    random = np.random.default_rng(0)
    k = np.array([[30.0, 0, 15.5], [0, 31.0, 11.5], [0, 0, 1]])
    views = [
        View(
            make_frame(0, number).camera.world_from_camera.double().numpy(),
            np.kron(random.integers(0, 256, (3, 4, 3), np.uint8), np.ones((8, 8, 1), np.uint8)),
            random.uniform(0.5, 4, (24, 32)),
            random.integers(0, 8, (24, 32)),
        )
        for number in range(8)
    ]
    content = scannet.sens_header(k, k, (32, 24), (32, 24), len(views))
    for number, view in enumerate(views):
        pose = scannet.LOST if number == lost else view.pose
        frame = scannet.sens_frame(pose, view.rgb, view.depth, stamp=33_333 * number)
        content += frame.replace(b"\xff\xd8\xff", b"no jpeg"[:3]) if number == spoilt else frame
    path.write_bytes(content + scannet.MOTION_READINGS)
    scannet.write_label_archive(path.with_name(f"{path.stem}_2d-label-filt.zip"), views, scannet.NYU40_IDS)
    return views


def test_a_sens_file_becomes_a_bag_without_its_bad_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    views = write_sens(tmp_path / "scene0000_00.sens", spoilt=2, lost=5)
    bag = tmp_path / "bag"
    main(["bag", str(tmp_path / "scene0000_00.sens"), "--output", str(bag), "--label-ids", "nyu40"])
    out = " ".join(capsys.readouterr().out.split())
    assert "1 frames left out: pose is not finite 1 frames left out: cannot be read" in out
    assert "6 frames of 0.2 s" in out and f"bag:={bag} score:=true" in out
    messages = read(bag)
    kept = [0, 1, 3, 4, 6, 7]
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages[LAYOUT.image]]
    assert stamps == [10**9 + 33_333_000 * number for number in kept], "no stamp is zero"
    classes = [INDOOR.names.index({"blinds": "window"}.get(name, name)) for name in scannet.NAMES]
    for number, depth, labels in zip(kept, messages[LAYOUT.depth], messages[LAYOUT.labels], strict=True):
        millimeters = (views[number].depth * 1000).round()
        np.testing.assert_allclose(depth.data.view("<f4").reshape(24, 32), millimeters / 1000, rtol=1e-6)
        np.testing.assert_array_equal(labels.data.reshape(24, 32), np.array(classes)[views[number].classes])


def test_stride_and_frames_choose_and_an_exported_folder_converts_too(tmp_path: Path) -> None:
    views = write_sens(tmp_path / "scene0000_00.sens", spoilt=-1, lost=-1)
    folder = scannet.write_folder(tmp_path / "exported", views, np.diag([30.0, 31.0, 1.0]), scannet.NYU40_IDS, np.uint8)
    main(["bag", str(folder), "--output", str(tmp_path / "bag"), "--stride", "3", "--frames", "2"])
    stamps = [m.header.stamp.nanosec for m in read(tmp_path / "bag")[LAYOUT.image]]
    assert stamps == [0, 3 * (10**9 // 30)]


def test_labels_whose_ids_are_not_known_are_refused(tmp_path: Path) -> None:
    views = write_sens(tmp_path / "scene0000_00.sens", spoilt=-1, lost=-1)
    folder = scannet.write_folder(tmp_path / "raw" / "scene", views, np.diag([30.0, 31.0, 1.0]), scannet.RAW_IDS)
    with pytest.raises(SystemExit, match="raw ScanNet ids, and there is no"):
        main(["bag", str(folder), "--output", str(tmp_path / "bag")])
    assert not (tmp_path / "bag").exists()


def test_a_slip_of_the_pen_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["bag"], "expected either SCENE with --output, or --check BAG"),
        (["bag", str(tmp_path)], "expected --output"),
        (["bag", str(tmp_path), "--output", "b", "--label-space", "x"], "expected one of rooms"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2 and words in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SystemExit, match="looks like no dataset known here"):
        main(["bag", str(tmp_path), "--output", str(tmp_path / "bag")])
