"""A sequence written as a rosbag2 reads back, message by message, as what a robot would have recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rosbags.interfaces import QosDurability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from sray.camera import Camera
from sray.errors import ErrorCode, SrayError
from sray.frames import Frame
from sray_train.bags import BagLayout, write_bag

STORE = get_typestore(Stores.ROS2_KILTED)
LAYOUT = BagLayout()


def make_frame(stamp_ns: int, seed: int = 0, **changes: Any) -> Frame:
    random = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(rng=random).as_matrix()
    pose[:3, 3] = random.uniform(-3, 3, 3)
    intrinsics = torch.tensor([[30.0, 0, 15.5], [0, 31.0, 11.5], [0, 0, 1]])
    parts: dict[str, Any] = {
        "image": torch.from_numpy(random.integers(0, 256, (24, 32, 3), np.uint8)),
        "camera": Camera(intrinsics, torch.from_numpy(pose).float(), 32, 24),
        "depth": torch.from_numpy(random.uniform(0.5, 4, (24, 32)).astype(np.float32)),
        "labels": torch.from_numpy(random.integers(0, 16, (24, 32), np.uint8)),
        "stamp_ns": stamp_ns,
    }
    parts["depth"][0, 0] = float("nan")
    return Frame(**(parts | changes))


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
    from sray_train.bags import OPTICAL_IN_BODY

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
    assert caught.value.code == ErrorCode.BAD_FILE
    assert (tmp_path / "bag" / "precious.txt").read_text() == "mine"


def test_no_frame_and_a_broken_frame_leave_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(SrayError, match="no frame"):
        write_bag([], tmp_path / "bag")
    assert not (tmp_path / "bag").exists()

    lost = make_frame(2 * 10**9)
    lost.camera.world_from_camera[0, 3] = float("inf")
    with pytest.raises(SrayError) as caught:
        write_bag([make_frame(10**9), lost], tmp_path / "bag")
    assert caught.value.code == ErrorCode.BAD_POSE
    assert not (tmp_path / "bag").exists()
