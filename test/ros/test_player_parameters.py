"""sequence_player's parameters that only its messages show: frames, and how fast time passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import PlaneScene
from rig.listener import Listener
from rig.views import LATCHED
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from sray.sequence_writer import SequenceWriter

pytestmark = pytest.mark.ros


@pytest.fixture
def folder(tmp_path: Path, plane_scene: PlaneScene) -> Path:
    """0.3 s long."""
    writer = SequenceWriter(tmp_path / "room")
    for number, frame in zip((0, 3, 6, 9), plane_scene.ring(4), strict=True):
        writer.add(number, frame)
    return tmp_path / "room"


def played(listener: Listener, folder: Path, **parameters: Any) -> dict[str, list[Any]]:
    heard: dict[str, list[Any]] = {
        "image": listener.hear(Image, "image"),
        "camera_info": listener.hear(CameraInfo, "camera_info"),
        "tf": listener.hear(TFMessage, "/tf"),
        "tf_static": listener.hear(TFMessage, "/tf_static", LATCHED),
        "clock": listener.hear(Clock, "/clock"),
    }
    status, output = listener.finish(listener.start("sray_ros.player.node", sequence=folder, **parameters))
    assert status == 0, output
    return heard


@pytest.mark.shows("player map_frame", "player body_frame", "player camera_frame")
def test_frames_have_the_names_that_were_asked_for(listener: Listener, folder: Path) -> None:
    heard = played(listener, folder, map_frame="odom", body_frame="head", camera_frame="head_optical", rate=100.0)
    (fixed,) = heard["tf_static"][0].transforms
    moving = [transform for message in heard["tf"] for transform in message.transforms]
    assert {(t.header.frame_id, t.child_frame_id) for t in moving} == {("odom", "head")}
    assert (fixed.header.frame_id, fixed.child_frame_id) == ("head", "head_optical")
    assert {message.header.frame_id for message in (*heard["image"], *heard["camera_info"])} == {"head_optical"}


@pytest.mark.slow
@pytest.mark.shows("player rate", "player clock_rate")
def test_time_passes_as_fast_and_is_told_as_often_as_asked_for(listener: Listener, folder: Path) -> None:
    """0.3 s of recording are told in 75 ticks, or 8, at a fifth of its speed, 15 at its own; and once a picture."""
    often, rarely = (
        len(played(listener, folder, rate=0.2, clock_rate=clock_rate)["clock"]) for clock_rate in (50.0, 5.0)
    )
    assert 30 < often < 100
    assert 2 * rarely < often
