"""`ros2 launch ... bag:=<path>` by itself: the bag is played to the mapper, and the score is that of its labels."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PlaneScene
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig.launches import ended, launching
from rig.listener import Listener
from rig.mapper import RELIABLE, checkpoint
from sensor_msgs.msg import Image
from std_msgs.msg import Float32
from std_srvs.srv import SetBool
from vision_msgs.msg import LabelInfo

from sray.frames import Frame
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.metrics import ConfusionMatrix
from sray.sequence_writer import SequenceWriter
from sray_ros.bringup.recorded import refuse_mistaken
from sray_train.tools.bags import BagEncoding, BagLayout, write_bag

pytestmark = pytest.mark.ros
STRIPES = LabelSpace("stripes", ("red", "green", "blue"), ((200, 50, 50), (50, 200, 50), (50, 50, 200)), (1, 2, 3))
FRAMES = 6


def stamped(scene: PlaneScene) -> list[Frame]:
    import dataclasses

    return [
        dataclasses.replace(frame, stamp_ns=10**9 + 200_000_000 * number)
        for number, frame in enumerate(scene.ring(FRAMES))
    ]


@pytest.fixture
def launched(listener: Listener, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the real launch file with a small random network that renders every picture; ended with the test."""
    parameters = tmp_path / "params.yaml"
    parameters.write_text(
        "semantic_mapper:\n  ros__parameters:\n    keyframes.min_translation: 0.0\n    keyframes.min_rotation: 0.0\n"
        "    keyframes.min_sharpness: 0.0\n    trigger: timer\n    views.count: 3\n"
    )
    model = checkpoint(tmp_path / "model.safetensors")
    with launching(listener, tmp_path / "launch.log") as start:
        yield lambda **arguments: start(**{"params_file": parameters, "model": model, **arguments})


def pixels(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


def stamp(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)


@pytest.mark.shows("launch bag", "launch score", "launch model", "launch start_paused")
@pytest.mark.parametrize("encoding", [BagEncoding(), BagEncoding("sqlite3", 95)], ids=["raw", "compressed"])
def test_a_bag_is_scored_frame_by_frame(
    listener: Listener, launched: Callable[..., Any], tmp_path: Path, plane_scene: PlaneScene, encoding: BagEncoding
) -> None:
    frames = stamped(plane_scene)
    write_bag(frames, tmp_path / "bag", encoding=encoding, label_space=STRIPES)
    labels = listener.hear(Image, "/semantic_mapper/label/image", RELIABLE)
    live = listener.hear(Float32, "/label_scorer/miou", 100)
    # Paused until we are matched: of what is published before, nothing would be heard here.
    launch = launched(bag=tmp_path / "bag", score="true", start_paused="true")
    log = tmp_path / "launch.log"
    ours = ("/semantic_mapper/label/image", "/label_scorer/miou")
    assert listener.until(lambda: all(listener.node.count_publishers(name) for name in ours), 60), log.read_text()
    for node in ("/semantic_mapper", "/label_scorer"):
        listener.meet(node)
    assert listener.ask(SetBool, "/sequence_player/pause", SetBool.Request(data=False)).success, log.read_text()
    assert listener.until(lambda: "the recording has ended" in log.read_text(), 120), log.read_text()
    assert listener.until(lambda: labels and len(live) >= len(labels)), log.read_text()
    listener.until(lambda: False, 1.0)
    output = ended(launch, tmp_path / "launch.log")

    # The first pictures have too few keyframes beside them; lockstep leaves no other picture out.
    assert len(labels) >= FRAMES - 3 and len(live) == len(labels), output
    truth = {frame.stamp_ns: frame.labels.numpy() for frame in frames if frame.labels is not None}
    matrix = ConfusionMatrix(3)
    for message, heard in zip(labels, live, strict=True):
        matrix.update(pixels(message), truth[stamp(message)])
        assert heard.data == pytest.approx(matrix.strict().miou)
    scores = matrix.strict()
    assert f"{len(labels)} label images against ground truth" in output
    assert f"strict mIoU {100 * scores.miou:.1f}   total accuracy {100 * scores.total_accuracy:.1f}" in output
    for name, iou in zip(STRIPES.names, scores.per_class_iou, strict=True):
        assert re.search(rf"\] +{name} +{100 * iou:.1f} ", output), output
    assert re.search(r"\[label_scorer\]: strict mIoU \d+\.\d, total accuracy", output), "no live line"
    assert f"played {FRAMES} pictures" in output and "Traceback" not in output


@pytest.mark.shows("launch image", "launch camera_info", "launch depth", "launch labels", "launch rate")
def test_a_bag_with_names_of_its_own_is_played_by_ros2_bag_once_the_mapper_is_active(
    listener: Listener, launched: Callable[..., Any], tmp_path: Path, plane_scene: PlaneScene
) -> None:
    names = BagLayout("/front/image_raw", "/front/camera_info", "/front/depth", "/front/labels")
    write_bag(stamped(plane_scene), tmp_path / "bag", names, BagEncoding(jpeg_quality=95))
    labels = listener.hear(Image, "/semantic_mapper/label/image", RELIABLE)
    typed = {"image": names.image, "camera_info": names.camera_info, "depth": names.depth, "labels": names.labels}
    launch = launched(bag=tmp_path / "bag", rate=0.2, **typed)
    assert listener.until(lambda: labels, 90), (tmp_path / "launch.log").read_text()
    output = ended(launch, tmp_path / "launch.log")
    assert "the bag has its pictures on /front/image_raw/compressed" in output
    assert output.index("[semantic_mapper]: model") < output.index("bag_player-2]: process started")


@pytest.mark.fault("a recording's folder as bag:=, or a bag as sequence:=", code="none", says="launch's output",
                   recovery="the argument that it names; nothing was started")  # fmt: skip
def test_a_recording_is_no_bag_and_a_bag_no_recording(
    launched: Callable[..., Any], tmp_path: Path, plane_scene: PlaneScene
) -> None:
    room, bag = tmp_path / "room", tmp_path / "bag"
    SequenceWriter(room).add(0, plane_scene.frame((0.0, 0.0, 0.0)))
    write_bag(stamped(plane_scene), bag)
    for typed, words in (
        ({"bag": room}, f"sequence:={room}"),
        ({"sequence": bag}, f"bag:={bag}"),
        ({"sequence": next(bag.glob("*.mcap"))}, "Give it as bag:="),
        ({"bag": bag, "sequence": room}, "expected at most one of them"),
    ):
        with pytest.raises(RuntimeError, match=re.escape(words)):
            refuse_mistaken({"bag": "", "sequence": ""} | {name: str(path) for name, path in typed.items()})
    launch = launched(bag=room)
    assert launch.wait(60) == 1
    output = (tmp_path / "launch.log").read_text()
    assert f"sequence:={room}" in output
    assert "process started" not in output


@pytest.mark.fault(
    "a bag whose pictures have another name than `image`",
    code="none",
    says="launch's output",
    recovery="pass image:= with the name it tells",
)
def test_a_bag_without_the_image_topic_ends_the_launch_and_names_what_it_has(
    launched: Callable[..., Any], tmp_path: Path, plane_scene: PlaneScene
) -> None:
    write_bag(stamped(plane_scene), tmp_path / "bag", BagLayout(image="/front/image_raw"))
    launch = launched(bag=tmp_path / "bag", score="true")
    launch.wait(60)
    output = (tmp_path / "launch.log").read_text()
    assert "neither /image nor /image/compressed, but /depth, /front/image_raw, /labels; name one: image:=" in output
    assert "expected one of its topics (/camera_info, /depth, /front/image_raw, " in output
    assert "Traceback" not in output


def test_labels_of_another_label_space_are_not_scored_and_the_class_is_named(
    listener: Listener, launched: Callable[..., Any], tmp_path: Path, plane_scene: PlaneScene
) -> None:
    """The network knows three stripes; the bag says its indices are the rooms' classes."""
    write_bag(stamped(plane_scene), tmp_path / "bag", label_space=LABEL_SPACES["rooms"])
    live = listener.hear(Float32, "/label_scorer/miou", 100)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    infos = listener.hear(LabelInfo, "/labels/info", latched)
    # Paused until we are matched: of what is published before, nothing would be heard here.
    launch = launched(bag=tmp_path / "bag", score="true", start_paused="true")
    log = tmp_path / "launch.log"
    ours = ("/semantic_mapper/label/image", "/label_scorer/miou")
    assert listener.until(lambda: all(listener.node.count_publishers(name) for name in ours), 60), log.read_text()
    for node in ("/semantic_mapper", "/label_scorer"):
        listener.meet(node)
    assert listener.ask(SetBool, "/sequence_player/pause", SetBool.Request(data=False)).success, log.read_text()
    assert listener.until(lambda: "the recording has ended" in log.read_text(), 120), log.read_text()
    output = ended(launch, tmp_path / "launch.log")
    assert [each.class_name for each in infos[0].class_map] == [*LABEL_SPACES["rooms"].names, "UNLABELED"]
    assert not live
    assert "nothing was scored: label/info says class 0 is 'red', the truth's labels/info says 'wall'" in output
