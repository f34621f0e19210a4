"""The player as a process of its own: what arrives over DDS is the recording, in order, and it ends by itself."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig.listener import Listener
from rosgraph_msgs.msg import Clock
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo

from sray.camera import Camera
from sray.frames import Frame
from sray.label_space import INDOOR
from sray.sequence import Sequence, stamp_of
from sray.sequence_writer import SequenceWriter
from sray_train.tools.bags import BagEncoding, write_bag

pytestmark = pytest.mark.ros
PLAYER = "sray_ros.player.node"
ROSOUT = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NUMBERS = (0, 3, 6, 9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four frames with depth and labels, and a fifth whose pose is infinite."""
    writer = SequenceWriter(tmp_path / "room")
    random = np.random.default_rng(0)
    for number in (*NUMBERS, 12):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("xyz", [0.3, 0.05 * number, -0.2]).as_matrix()
        pose[:3, 3] = [0.1 * number, -0.5, 1.2]
        if number == 12:
            pose[:3] = np.inf
        camera = Camera(
            torch.tensor([[30.0, 0, 15.5], [0, 31.0, 11.5], [0, 0, 1]]), torch.from_numpy(pose).float(), 32, 24
        )
        image = np.kron(random.integers(0, 256, (3, 4, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
        depth = random.uniform(0.5, 4, (24, 32)).astype(np.float32)
        depth[0, 0] = np.nan
        labels = random.integers(0, 16, (24, 32), np.uint8)
        labels[0, 1] = 255
        writer.add(number, Frame(torch.from_numpy(image), camera, torch.from_numpy(depth), torch.from_numpy(labels)))
    return tmp_path / "room"


def stamps(messages: list[Any]) -> list[int]:
    return [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in messages]


def camera_in_map(poses: list[TFMessage], static: list[TFMessage], position: int) -> np.ndarray:
    chain = np.eye(4)
    for message in (poses[position], static[0]):
        transform = message.transforms[0].transform
        step = np.eye(4)
        q, t = transform.rotation, transform.translation
        step[:3, :3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        step[:3, 3] = [t.x, t.y, t.z]
        chain = chain @ step
    return chain


def hear_all(listener: Listener, prefix: str = "") -> dict[str, list[Any]]:
    return {
        "image": listener.hear(Image, f"{prefix}image"),
        "depth": listener.hear(Image, f"{prefix}depth"),
        "labels": listener.hear(Image, f"{prefix}labels"),
        "camera_info": listener.hear(CameraInfo, f"{prefix}camera_info"),
        "tf": listener.hear(TFMessage, "/tf"),
        "tf_static": listener.hear(TFMessage, "/tf_static", LATCHED),
        "clock": listener.hear(Clock, "/clock"),
    }


def assert_is_the_recording(heard: dict[str, list[Any]], folder: Path) -> None:
    sequence = Sequence.open(folder, INDOOR)
    expected = [stamp_of(number) for number in NUMBERS]
    for topic in ("image", "depth", "labels", "camera_info"):
        assert stamps(heard[topic]) == expected, topic
    for position in range(len(sequence)):
        frame = sequence[position]
        assert frame.depth is not None and frame.labels is not None
        image, depth, labels = (heard[topic][position] for topic in ("image", "depth", "labels"))
        assert (image.encoding, depth.encoding, labels.encoding) == ("rgb8", "32FC1", "mono8")
        np.testing.assert_array_equal(np.frombuffer(image.data, np.uint8).reshape(24, 32, 3), frame.image.numpy())
        np.testing.assert_array_equal(np.frombuffer(depth.data, "<f4").reshape(24, 32), frame.depth.numpy())
        np.testing.assert_array_equal(np.frombuffer(labels.data, np.uint8).reshape(24, 32), frame.labels.numpy())
        np.testing.assert_allclose(heard["camera_info"][position].k, frame.camera.intrinsics.reshape(-1).numpy())
        pose = camera_in_map(heard["tf"], heard["tf_static"], position)
        np.testing.assert_allclose(pose, frame.camera.world_from_camera.numpy(), atol=1e-6)
    ticks = [tick.clock.sec * 10**9 + tick.clock.nanosec for tick in heard["clock"]]
    assert ticks == sorted(ticks)
    assert set(expected) <= set(ticks)


@pytest.mark.shows(
    "sequence_player", "player sequence", "player image", "player camera_info", "player depth", "player labels",
    "player labels/info", "player /tf", "player /tf_static", "player /clock",
)  # fmt: skip
def test_a_folder_arrives_as_it_is_and_the_player_ends_by_itself(listener: Listener, folder: Path) -> None:
    heard = hear_all(listener)
    infos = listener.hear(LabelInfo, "labels/info", LATCHED)
    status, output = listener.finish(listener.start(PLAYER, sequence=folder))
    assert status == 0, output
    assert_is_the_recording(heard, folder)
    assert [each.class_name for each in infos[0].class_map] == [*INDOOR.names, "UNLABELED"]
    assert "4 frames, with depth, with labels; 1 left out: pose is not finite" in output


@pytest.mark.shows("sequence_player", "player bag")
def test_a_bag_arrives_as_it_was_recorded(listener: Listener, folder: Path, tmp_path: Path) -> None:
    sequence = Sequence.open(folder, INDOOR)
    write_bag([sequence[position] for position in range(len(sequence))], tmp_path / "bag")
    heard = hear_all(listener, "/")
    status, output = listener.finish(listener.start(PLAYER, bag=tmp_path / "bag"))
    assert status == 0, output
    assert_is_the_recording(heard, folder)
    assert "camera on /image" in output


@pytest.mark.shows("player image_topic")
def test_the_image_topic_of_a_compressed_bag_is_named_as_the_mapper_names_it(
    listener: Listener, folder: Path, tmp_path: Path
) -> None:
    sequence = Sequence.open(folder, INDOOR)
    frames = [sequence[position] for position in range(len(sequence))]
    write_bag(frames, tmp_path / "bag", encoding=BagEncoding(jpeg_quality=90))
    listener.hear(CameraInfo, "/camera_info"), listener.hear(TFMessage, "/tf")
    pictures = listener.hear(CompressedImage, "/image/compressed")
    status, output = listener.finish(listener.start(PLAYER, bag=tmp_path / "bag", image_topic="image"))
    assert status == 0 and "camera on /image/compressed" in output, output
    assert stamps(pictures) == [stamp_of(number) for number in NUMBERS]


@pytest.mark.shows("player start_offset")
def test_start_offset_leaves_out_pictures_and_keeps_what_is_latched(
    listener: Listener, folder: Path, tmp_path: Path
) -> None:
    sequence = Sequence.open(folder, INDOOR)
    write_bag([sequence[position] for position in range(len(sequence))], tmp_path / "bag")
    heard = hear_all(listener, "/")
    status, output = listener.finish(listener.start(PLAYER, bag=tmp_path / "bag", start_offset=0.15))
    assert status == 0, output
    assert stamps(heard["image"]) == [stamp_of(6), stamp_of(9)]
    assert len(heard["tf_static"]) == 1


@pytest.mark.parametrize("kind", ["sequence", "bag"])
@pytest.mark.shows("player lockstep", "player handled")
def test_lockstep_sends_a_picture_only_when_the_one_before_is_handled(
    listener: Listener, folder: Path, tmp_path: Path, kind: str
) -> None:
    sequence = Sequence.open(folder, INDOOR)
    write_bag([sequence[position] for position in range(len(sequence))], tmp_path / "bag")
    prefix = "/" if kind == "bag" else ""
    heard = hear_all(listener, prefix)
    handled = listener.node.create_publisher(Header, "handled", 10)
    played = {"sequence": folder, "bag": tmp_path / "bag"}[kind]
    player = listener.start(PLAYER, **{kind: played, "lockstep": True, "rate": 100.0})
    for count in range(1, len(NUMBERS) + 1):
        assert listener.until(lambda: len(heard["image"]) >= count, 30)  # noqa: B023
        assert not listener.until(lambda: len(heard["image"]) > count, 0.7)  # noqa: B023
        if count == len(NUMBERS):
            ended = listener.until(lambda: player.poll() is not None, 4)
            assert not ended, "it must also wait for the last picture"
        handled.publish(heard["image"][-1].header)
    status, output = listener.finish(player, 20)
    assert status == 0, output
    assert_is_the_recording(heard, folder)


@pytest.mark.shows("player lockstep_timeout")
def test_lockstep_goes_on_without_an_answer_and_gives_up_after_three(listener: Listener, folder: Path) -> None:
    heard = hear_all(listener)
    listener.node.create_publisher(Header, "handled", 10)
    player = listener.start(PLAYER, sequence=folder, lockstep=True, lockstep_timeout=0.4)
    status, output = listener.finish(player)
    assert status == 1
    assert len(heard["image"]) == 3
    assert "3 in a row. Is the mapper still running?" in output and "Traceback" not in output


@pytest.mark.shows("player wait_for_subscribers")
def test_it_waits_for_subscribers_and_says_for_whom(listener: Listener, folder: Path) -> None:
    said = listener.hear(Log, "/rosout", ROSOUT)
    player = listener.start(PLAYER, sequence=folder)
    words = "waiting for a subscriber of /image, a subscriber of /camera_info, a subscriber of /tf"
    assert listener.until(lambda: any(words in line.msg for line in said)), [line.msg for line in said]
    heard = hear_all(listener)  # not before: it would be in the way of what it says
    status, output = listener.finish(player)
    assert status == 0, output
    assert_is_the_recording(heard, folder)


@pytest.mark.shows("player wait_for_subscribers", "player lockstep")
def test_the_wait_is_bounded_and_lockstep_without_a_mapper_fails(listener: Listener, folder: Path) -> None:
    status, output = listener.finish(listener.start(PLAYER, sequence=folder, wait_for_subscribers=0.5))
    assert status == 0 and "playing all the same" in output
    player = listener.start(PLAYER, sequence=folder, wait_for_subscribers=0.5, lockstep=True)
    status, output = listener.finish(player)
    assert status == 1 and "Lockstep needs an active mapper" in output


@pytest.mark.shows("player start_paused", "player ~/pause")
def test_paused_it_sends_nothing_until_told(listener: Listener, folder: Path) -> None:
    heard = hear_all(listener)
    player = listener.start(PLAYER, sequence=folder, start_paused=True)
    pause = listener.client(SetBool, "/sequence_player/pause")
    assert not listener.until(lambda: heard["image"], 2)
    assert listener.call(pause, SetBool.Request(data=False)).message == "playing"
    status, output = listener.finish(player)
    assert status == 0, output
    assert len(heard["image"]) == 4


@pytest.mark.shows("player loop")
def test_a_loop_starts_again_with_the_clock_jumping_back_and_ctrl_c_ends_it(listener: Listener, folder: Path) -> None:
    heard = hear_all(listener)
    player = listener.start(PLAYER, sequence=folder, loop=True)
    assert listener.until(lambda: len(heard["image"]) >= 6, 30)
    player.send_signal(signal.SIGINT)
    status, output = listener.finish(player, 10)
    assert status == 0 and "Traceback" not in output, output
    assert stamps(heard["image"])[:6] == [stamp_of(number) for number in (*NUMBERS, *NUMBERS)][:6]


ONE_AFTER_THE_OTHER = """
import json, sys
from sray_ros.player.node import main
print("statuses", [main(["--ros-args", *arguments]) for arguments in json.loads(sys.argv[1])])
"""


@pytest.mark.shows("player label_space", "player sequence", "player bag")
def test_what_cannot_be_played_is_one_message_and_status_1(
    listener: Listener, plane_scene: PlaneScene, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "bag_0.mcap").touch()
    raw = plane_scene.record(tmp_path / "raw", INDOOR, 2)
    picture = np.full((36, 48), 1163, np.uint16)
    assert cv2.imwrite(str(raw / "label-filt" / "1.png"), picture)
    stamped = plane_scene.record(tmp_path / "stamped", INDOOR, 2)
    for path in list(stamped.rglob("1.*")):
        path.rename(path.with_stem("1700000000000"))
    wrong: tuple[tuple[dict[str, object], str], ...] = (
        ({"sequence": tmp_path / "empty"}, "sray bag"),
        ({"sequence": tmp_path / "bag"}, f"`sray bag --check {tmp_path / 'bag'}` prints the line that plays it"),
        ({"bag": tmp_path / "empty"}, "expected a rosbag2 folder"),
        ({}, "neither `sequence` nor `bag`, or both"),
        ({"sequence": tmp_path, "label_space": "nyu"}, "expected one of rooms"),
        ({"sequence": tmp_path, "rate": -1.0}, "0.001"),
        ({"sequence": stamped}, "has frame 1700000000000, at 30 Hz beyond the year 2038"),
        ({"sequence": raw}, "holds id 1163; expected NYU40 ids, 0 to 40. If these are ScanNet's own ids, make a bag"),
    )
    arguments = [[part for name, value in each.items() for part in ("-p", f"{name}:={value}")] for each, _ in wrong]
    status, output = listener.finish(listener.run(sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(arguments)))
    assert status == 0 and "Traceback" not in output, output
    assert f"statuses {[1] * len(wrong)}" in output
    messages = [line for line in output.splitlines() if line.startswith("sequence_player: ")]
    for message, (parameters, words) in zip(messages, wrong, strict=True):
        assert words in message, parameters
