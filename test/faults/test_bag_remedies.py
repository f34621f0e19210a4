"""What `sray bag --check` prints is executed on the bag that it was printed for: the node makes labels of it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bag_fixtures import Message, make_frames, rewrite
from conftest import PlaneScene
from rig.launches import ended, launching
from rig.listener import Listener, listening
from rig.mapper import RELIABLE, checkpoint
from rosbags.interfaces import QosDurability
from sensor_msgs.msg import Image

from sray_ros.player.bag_recording import BagRecording
from sray_train.tools.bags import BagEncoding, write_bag
from sray_train.tools.bags.check import check_bag

PARAMETERS = (
    "semantic_mapper:\n  ros__parameters:\n    keyframes.min_translation: 0.0\n    keyframes.min_rotation: 0.0\n"
    "    keyframes.min_sharpness: 0.0\n    trigger: timer\n    views.count: 3\n    tf.timeout: 3.0\n"
)


def scene_bag(scene: PlaneScene, folder: Path, **encoding: Any) -> Path:
    frames = [
        replace(frame, stamp_ns=10**9 + 400_000_000 * number, labels=None, depth=None)
        for number, frame in enumerate(scene.ring(8))
    ]
    write_bag(frames, folder, encoding=BagEncoding(**encoding))
    return folder


def unlatched(message: Message) -> Message:
    """As bags of older recorders are: /tf_static is volatile."""
    topic, kind, time_ns, content, qos = message
    if topic == "/tf_static":
        qos = [profile._replace(durability=QosDurability.VOLATILE) for profile in qos]
    return topic, kind, time_ns, content, qos


def with_slashes(message: Message) -> Message:
    """As bags that were recorded by ROS 1 are."""
    for header in [message[3].header] if hasattr(message[3], "header") else []:
        header.frame_id = f"/{header.frame_id}"
    for transform in getattr(message[3], "transforms", ()):
        transform.header.frame_id = f"/{transform.header.frame_id}"
        transform.child_frame_id = f"/{transform.child_frame_id}"
    return message


def edited_by_hand(folder: Path) -> None:
    """/tf_static made transient local in metadata.yaml alone, as our check once advised."""
    metadata = folder / "metadata.yaml"
    before, name, after = metadata.read_text().partition("name: /tf_static")
    changed = after.replace("durability: 2", "durability: 1", 1).replace(
        "durability: volatile", "durability: transient_local", 1
    )
    assert changed != after
    metadata.write_text(before + name + changed)


def lone_mcap(scene: PlaneScene, place: Path) -> Path:
    folder = scene_bag(scene, place / "whole", jpeg_quality=95)
    changed = rewrite(folder, place / "changed", lambda message: with_slashes(unlatched(message)))
    (file,) = changed.glob("*.mcap")
    return Path(shutil.copy(file, place / "lone.mcap"))


def old_sqlite(scene: PlaneScene, place: Path) -> Path:
    folder = rewrite(scene_bag(scene, place / "whole"), place / "old", unlatched, storage="sqlite3")
    edited_by_hand(folder)
    return folder


@pytest.mark.ros
@pytest.mark.fault(
    "a lone .mcap: compressed pictures, /tf_static not latched, frames with leading slashes", code="none",
    says="sray bag --check: a note, and the line that plays it", recovery="the line, as printed",
)  # fmt: skip
@pytest.mark.parametrize("make", [lone_mcap, old_sqlite], ids=["lone mcap", "metadata edited by hand"])
def test_the_printed_line_makes_labels_of_the_bag(
    tmp_path: Path, plane_scene: PlaneScene, make: Callable[[PlaneScene, Path], Path]
) -> None:
    result = check_bag(make(plane_scene, tmp_path))
    assert result.works and result.figures["images_with_pose"] == 1.0, result.rows
    assert result.launch is not None
    program, verb, package, file, *arguments = shlex.split(result.launch)
    assert (program, verb, package, file) == ("ros2", "launch", "sray_ros", "semantic_mapping.launch.py")
    given = dict(argument.split(":=", 1) for argument in arguments)
    (tmp_path / "params.yaml").write_text(PARAMETERS)
    model = checkpoint(tmp_path / "model.safetensors")
    log = tmp_path / "launch.log"
    with listening() as listener, launching(listener, log) as start:
        labels = heard(listener)
        launch = start(**given, params_file=tmp_path / "params.yaml", model=model)
        assert listener.until(lambda: len(labels) >= 2, 180), log.read_text()
        ended(launch, log)
    assert "NO_POSE" not in log.read_text()


def heard(listener: Listener) -> list[Image]:
    return listener.hear(Image, "/semantic_mapper/label/image", RELIABLE)


@pytest.mark.fault(
    "metadata.yaml gives a topic another QoS than the data file, as one edits it", code="none",
    says="nothing: ros2 bag reads it so", recovery="check and player believe metadata.yaml",
)  # fmt: skip
def test_metadata_that_was_edited_by_hand_is_believed(tmp_path: Path, plane_scene: PlaneScene) -> None:
    folder = old_sqlite(plane_scene, tmp_path)
    result = check_bag(folder)
    assert result.works and not any(row.subject == "TF: QoS" for row in result.rows), result.rows
    played = [name for step in BagRecording.open(folder, "/image").steps() for name, _ in step.messages]
    assert played.count("/tf_static") == 1 and played.count("/image") == 8


def test_the_player_latches_static_tf_however_it_was_recorded(tmp_path: Path) -> None:
    write_bag(make_frames(), tmp_path / "bag")
    changed = rewrite(tmp_path / "bag", tmp_path / "changed", unlatched)
    assert [row.verdict for row in check_bag(changed).rows if row.subject == "TF: QoS"] == ["note"]
    durable = {topic.name for topic in BagRecording.open(changed, "/image").topics if topic.is_latched}
    assert "/tf_static" in durable


def test_leading_slashes_name_the_same_frames(tmp_path: Path) -> None:
    write_bag(make_frames(), tmp_path / "bag")
    result = check_bag(rewrite(tmp_path / "bag", tmp_path / "changed", with_slashes))
    assert result.works, result.rows
    assert {row.subject: row.text for row in result.rows}["TF: path"] == "map -> camera_link -> camera_optical_frame"
