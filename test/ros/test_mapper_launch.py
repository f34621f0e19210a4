"""Launch arguments, each by its effect: one real launch with all of them typed, asked over the graph."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PlaneScene
from rig.launches import ended, launching, parameters
from rig.listener import Listener
from rig.made_up_package import MadeUpPackage
from rig.mapper import checkpoint

from sray.sequence_writer import SequenceWriter

pytestmark = pytest.mark.ros
RVIZ = """
    import sys
    print("RVIZ", *sys.argv[1:], flush=True)
"""


@pytest.fixture
def rviz(tmp_path: Path) -> Path:
    """A prefix with an rviz2 that says how it was called."""
    package = MadeUpPackage(tmp_path / "prefix")
    package.add_executable("rviz2", RVIZ)
    (package.prefix / "lib/made_up").rename(package.prefix / "lib/rviz2")
    (package.prefix / "share/ament_index/resource_index/packages/rviz2").touch()
    return package.prefix


@pytest.fixture
def launched(listener: Listener, tmp_path: Path, rviz: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    prefixes = f"{rviz}:{os.environ.get('AMENT_PREFIX_PATH', sys.prefix)}"
    with launching(listener, tmp_path / "launch.log", AMENT_PREFIX_PATH=prefixes) as start:
        yield start


@pytest.mark.slow
@pytest.mark.shows(
    "launch namespace", "launch params_file", "launch map_frame", "launch device", "launch sequence", "launch loop",
    "launch start_paused", "launch use_sim_time", "launch rviz", "launch rviz_config", "launch log_level",
    "launch rate", "launch label_space", "launch model", "launch image", "launch fine_tune", "sequence_player",
)  # fmt: skip
def test_what_is_typed_reaches_its_node_and_nothing_else_does(
    listener: Listener, launched: Callable[..., Any], tmp_path: Path, plane_scene: PlaneScene
) -> None:
    writer = SequenceWriter(tmp_path / "room")
    for number, frame in enumerate(plane_scene.ring(3)):
        writer.add(number, frame)
    model = checkpoint(tmp_path / "model.safetensors")
    file = tmp_path / "mine.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    views.count: 3\n    map_frame: of_the_file\n    model.device: auto\n"
    )
    launch = launched(
        namespace="robot", params_file=file, map_frame="odom", device="cpu", model=model, sequence=tmp_path / "room",
        loop="true", start_paused="true", rate="2.5", image="front/image", rviz="true", rviz_config="/my/view.rviz",
        log_level="debug", fine_tune="false", label_space="rooms",
    )  # fmt: skip
    mapper, player = "/robot/semantic_mapper", "/robot/sequence_player"
    asked = ("views.count", "map_frame", "model.device", "model.path", "use_sim_time", "trigger", "fine_tune.enabled")
    assert parameters(listener, mapper, *asked) == [3, "odom", "cpu", str(model), True, "keyframe", False]
    asked = ("sequence", "loop", "start_paused", "rate", "map_frame", "lockstep", "label_space")
    expected = [str(tmp_path / "room"), True, True, 2.5, "odom", False, "rooms"]
    assert parameters(listener, player, *asked) == expected
    assert listener.until(lambda: listener.node.count_subscribers("/robot/front/image") == 1)
    assert listener.until(lambda: listener.node.count_publishers("/robot/front/image") == 1)
    assert listener.node.count_subscribers("/robot/image") == 0
    log = ended(launch, tmp_path / "launch.log")
    assert "RVIZ -d /my/view.rviz" in log
    assert "__ns:=/robot" in log.split("RVIZ")[1].split("\n")[0]
    assert "[DEBUG]" in log

    # Nothing typed: nothing of it. use_sim_time alone is as typed.
    launch = launched(params_file=file, model=model, use_sim_time="true", autostart="false")
    asked = ("views.count", "map_frame", "use_sim_time", "fine_tune.enabled")
    assert parameters(listener, "/semantic_mapper", *asked) == [3, "of_the_file", True, True]
    assert [name for name, _ in listener.node.get_node_names_and_namespaces() if name == "sequence_player"] == []
    log = ended(launch, tmp_path / "launch.log")
    assert "RVIZ" not in log
    assert "[DEBUG]" not in log
