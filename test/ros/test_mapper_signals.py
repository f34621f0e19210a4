"""SIGINT and SIGTERM at any moment: the node ends with 0, soon, with its session saved if asked, and no traceback."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rig.listener import listening
from rig.mapper import MapperProcess, broken_mapper
from rig.views import SETTINGS as EXACT
from rig.views import goal_for
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import Trigger

from sray.checkpoint import load_checkpoint
from sray.frames import Frame
from sray.mapping.session import Session
from sray.mapping.voxel_map import VoxelMap
from sray_interfaces.srv import LoadSession, SaveSession

pytestmark = pytest.mark.ros
SECONDS = 3.0
SETTINGS: dict[str, Any] = {**EXACT, "keyframes.min_translation": 0.0, "session.autosave": "last"}
Doing = Callable[[MapperProcess, list[Frame], Path, Path], None]


@pytest.fixture
def started(model_file: Path, tmp_path: Path) -> Iterator[MapperProcess]:
    with listening() as listener:
        yield MapperProcess(listener, **{"model.path": model_file, "data_dir": tmp_path}, **SETTINGS)


def nothing(mapper: MapperProcess, frames: list[Frame], folder: Path, model: Path) -> None:
    """It waits for images."""


def rendering(mapper: MapperProcess, frames: list[Frame], folder: Path, model: Path) -> None:
    camera = frames[0].camera.resized(1600, 1200)
    goal = goal_for(camera, camera_info=CameraInfo(width=1600, height=1200))
    goal.camera_info.k = camera.intrinsics.double().reshape(-1).tolist()
    started: list[Any] = []
    future = mapper.render_view.send_goal_async(goal, feedback_callback=started.append)
    assert mapper.listener.until(lambda: future.done() and started)


def loading(mapper: MapperProcess, frames: list[Frame], folder: Path, model: Path) -> None:
    """A session whose keyframes take many seconds to encode."""
    scene, checkpoint = PlaneScene(width=320, height=240), load_checkpoint(model)
    frame = replace(scene.frame((0.0, 0.0, 0.0)), depth=None, labels=None)
    kept = []
    for number in range(300):
        pose = frame.camera.world_from_camera.clone()
        pose[0, 3] = 0.2 * number
        camera = replace(frame.camera, world_from_camera=pose)
        kept.append((number, replace(frame, camera=camera, stamp_ns=10**11 + number)))
    space = checkpoint.label_space
    Session(checkpoint.id, space, tuple(kept), 300, VoxelMap(space.classes).state()).save(folder / "many.safetensors")
    ask(mapper, LoadSession, "load_session", LoadSession.Request(file="many"))
    spin(mapper, 1.0)  # until it encodes


def saving(mapper: MapperProcess, frames: list[Frame], folder: Path, model: Path) -> None:
    for _ in range(20):
        ask(mapper, SaveSession, "save_session", SaveSession.Request(file="asked"))
    assert mapper.listener.until((folder / "asked.safetensors").exists)


def flooded(mapper: MapperProcess, frames: list[Frame], folder: Path, model: Path) -> None:
    """More images and requests than it can take."""
    assert mapper.set(trigger="timer", keyframes__min_rotation=0.0) == ""
    goal = goal_for(frames[0].camera)
    for index in range(100):
        mapper.send(frames[index % 5], 200.0 + 0.1 * index)
        if not index % 5:
            mapper.render_view.send_goal_async(goal)
        mapper.listener.until(lambda: True)


def ask(mapper: MapperProcess, kind: type, name: str, request: Any) -> None:
    mapper.listener.client(kind, f"/semantic_mapper/{name}").call_async(request)


def spin(mapper: MapperProcess, seconds: float) -> None:
    mapper.listener.until(lambda: False, seconds)


@pytest.mark.slow
@pytest.mark.shows("session.autosave", "semantic_mapper")
@pytest.mark.parametrize(
    ("sign", "doing"),
    [
        (signal.SIGINT, nothing),
        (signal.SIGTERM, nothing),
        (signal.SIGINT, rendering),
        (signal.SIGTERM, rendering),
        (signal.SIGINT, loading),
        (signal.SIGTERM, saving),
        (signal.SIGINT, flooded),
        (signal.SIGTERM, flooded),
    ],
)
def test_a_signal_ends_the_node_soon_with_its_session_saved(
    started: MapperProcess, frames: list[Frame], tmp_path: Path, model_file: Path, sign: signal.Signals, doing: Doing
) -> None:
    mapper = started
    assert mapper.configure()
    assert mapper.activate()
    seconds = mapper.send_in_lockstep(frames)
    doing(mapper, frames, tmp_path, model_file)
    assert mapper.process.poll() is None
    output = mapper.listener.end(mapper.process, sign, SECONDS)
    kept = Session.load(tmp_path / "last.safetensors").keyframes
    stamps = [frame.stamp_ns / 1e9 for _, frame in kept]
    np.testing.assert_allclose(stamps[:5], seconds, err_msg=output)
    assert torch.equal(kept[0][1].image, frames[0].image)
    assert len(kept) == 5 or doing is flooded


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_inactive_node_which_has_nothing_to_save(
    started: MapperProcess, tmp_path: Path, sign: signal.Signals
) -> None:
    assert started.configure()
    started.listener.end(started.process, sign, SECONDS)
    assert not (tmp_path / "last.safetensors").exists()


def test_a_signal_in_the_midst_of_a_transition_leaves_nothing_running(model_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "part"
    with broken_mapper(model_file, SETTINGS, SRAY_TEST_BREAK=broken) as mapper:
        assert mapper.configure()
        broken.write_text("intake: slow")  # a second, with the worker running already
        activate = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))
        ask(mapper, ChangeState, "change_state", activate)
        spin(mapper, 0.4)
        mapper.listener.end(mapper.process, signal.SIGINT, SECONDS)


def test_a_signal_does_not_wait_for_a_model_that_is_being_loaded(model_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "part"
    broken.write_text("scene: stuck")  # a minute
    with broken_mapper(model_file, SETTINGS, SRAY_TEST_BREAK=broken) as mapper:
        configure = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
        ask(mapper, ChangeState, "change_state", configure)
        spin(mapper, 0.4)
        mapper.listener.end(mapper.process, signal.SIGINT, SECONDS)


def test_who_waits_for_a_service_is_answered_before_the_end(
    model_file: Path, tmp_path: Path, frames: list[Frame]
) -> None:
    broken = tmp_path / "part"
    with broken_mapper(model_file, SETTINGS, SRAY_TEST_BREAK=broken) as mapper:
        assert mapper.configure()
        assert mapper.activate()
        broken.write_text("clear: slow")
        client = mapper.listener.client(Trigger, "/semantic_mapper/clear")
        calls = [client.call_async(Trigger.Request()) for _ in range(2)]
        spin(mapper, 0.3)  # one is being worked on, one waits
        mapper.process.send_signal(signal.SIGTERM)
        assert mapper.listener.until(lambda: all(call.done() for call in calls))
        assert [call.result().success for call in calls] == [True, False]
        assert "INACTIVE" in calls[1].result().message
        assert mapper.listener.finish(mapper.process, 10)[0] == 0
