"""The viewer and a running mapper: what it hears and asks for, a mapper that starts again, the node as a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import torch
from conftest import PlaneScene
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rig.listener import Listener
from rig.mapper import MapperProcess
from rig.views import SETTINGS as EXACT
from rig.views import Oracle, as_heard, as_started, pose_of
from waiting import until

from sray.camera import Camera
from sray.errors import CanceledError, FileError, NoViewsError, SrayError, StaleError
from sray.frames import Frame
from sray.label_space import VOID
from sray.viewing.source import Settings, Tuning
from sray_ros.viewer.source import MapperSource

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = dict(EXACT)


class Spun:
    """A source with a node of its own, spun by a thread."""

    def __init__(self, domain: int) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = Node("looker", context=self._context)
        self.source = MapperSource(self._node, "/semantic_mapper")
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._is_open = True
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        while self._is_open:
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.source.close()
        self._is_open = False
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture(scope="module")
def spun(process: MapperProcess) -> Iterator[Spun]:
    made = Spun(process.listener.domain)
    yield made
    made.close()


@pytest.fixture
def source(spun: Spun, mapper: MapperProcess) -> Iterator[MapperSource]:
    """Of the active mapper, which holds nothing."""
    assert until(lambda: spun.source.status().is_alive and not spun.source.keyframes()), spun.source.status()
    yield spun.source
    assert mapper.set(**as_started(SETTINGS)) == ""


@pytest.fixture
def camera(plane_scene: PlaneScene) -> Camera:
    asked = plane_scene.camera((0.05, 0.02, 0.0), yaw_degrees=3.0)
    return as_heard(asked, pose_of(asked))


def fed(source: MapperSource, mapper: MapperProcess, frames: list[Frame]) -> None:
    """The mapper has these keyframes, and the source knows."""
    mapper.send_in_lockstep(frames)
    assert until(lambda: len(source.keyframes()) == len(frames) and len(source.map()) > 0), source.status()


@pytest.mark.shows("viewer", "viewer ~/label/info", "viewer ~/map", "viewer ~/keyframes", "viewer ~/keyframe/image")
def test_it_shows_what_the_mapper_holds(source: MapperSource, mapper: MapperProcess, frames: list[Frame]) -> None:
    fed(source, mapper, frames)
    assert source.label_space.names == ("red", "green", "blue")
    assert source.voxel_size == 0.05
    assert [keyframe.number for keyframe in source.keyframes()] == [each.id for each in mapper.keyframes()]
    assert until(lambda: torch.equal(source.keyframes()[0].camera.intrinsics, frames[0].camera.intrinsics)), (
        "the mapper has told its camera's calibration"
    )
    for keyframe, frame in zip(source.keyframes(), frames, strict=True):
        torch.testing.assert_close(keyframe.camera.world_from_camera, frame.camera.world_from_camera)
        picture = source.picture(keyframe.number)
        assert picture is not None and torch.equal(picture, frame.image)
    cloud = source.map()
    assert set(np.unique(cloud.labels)) <= {0, 1, 2}
    assert float(np.median(cloud.points[:, 2])) > 0.5
    assert "5 keyframes" in source.status().text


def test_it_asks_for_views_and_they_are_the_mappers_own(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame], camera: Camera, data_dir: Path, model_file: Path
) -> None:
    fed(source, mapper, frames)
    answer = source.render(camera)
    expected = Oracle(mapper, data_dir, model_file).render(answer.sources, camera)
    assert torch.equal(answer.view.labels, expected.labels)
    torch.testing.assert_close(answer.view.depth, expected.depth, equal_nan=True)
    torch.testing.assert_close(answer.view.confidence, expected.confidence)
    assert torch.equal(answer.view.coverage, expected.coverage)
    assert float((answer.view.color - expected.color).abs().max()) <= 0.5 / 255 + 1e-6


def test_views_that_were_asked_for_leave_nothing_behind(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame], camera: Camera
) -> None:
    fed(source, mapper, frames)
    for _ in range(3):
        source.render(camera)
    client = source._mapper._render_view
    assert until(lambda: not client._futures and not client._pending_goal_requests)


def test_a_map_that_came_before_the_change_was_noticed_is_heard_again(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame]
) -> None:
    """A loaded session's map may come before its keyframes have been asked for, and then never again."""
    fed(source, mapper, frames)
    voxels = len(source.map())
    source._forget()
    assert until(lambda: len(source.map()) == voxels)


def test_a_map_that_came_before_its_frame_was_known_is_drawn(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame]
) -> None:
    fed(source, mapper, frames)
    voxels, revision = len(source.map()), source.map_revision()
    source._map_frame = ""
    source._has_changed.set()
    assert until(lambda: source.map_revision() > revision and len(source.map()) == voxels)


def test_a_job_of_a_mapper_that_is_gone_has_ended(source: MapperSource, mapper: MapperProcess) -> None:
    """No status will tell of it: the mapper that began it does not run any more."""
    source._tuning._told = Tuning("running", "step 3 of 100")
    source.stop_tuning()
    assert source.tuning().state == "failed" and "nothing is being fine-tuned" in source.tuning().text


def test_a_keyframe_is_not_rendered_from_itself_when_it_is_compared(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame]
) -> None:
    fed(source, mapper, frames)
    own = source.keyframes()[2]
    assert own.number in source.render(own.camera).sources
    assert own.number not in source.render(own.camera, own=own).sources


def test_a_view_that_is_not_wanted_any_more_is_canceled_at_once(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame], camera: Camera
) -> None:
    fed(source, mapper, frames)
    large = camera.resized(40 * camera.width, 40 * camera.height)
    begun = time.monotonic()
    with pytest.raises(SrayError) as refusal:
        source.render(large, canceled=lambda: time.monotonic() > begun + 0.3)
    assert isinstance(refusal.value, CanceledError)
    assert len(source.render(camera).sources) == 5, "the mapper is free again"


def test_what_the_mapper_refuses_is_told(source: MapperSource, mapper: MapperProcess, camera: Camera) -> None:
    with pytest.raises(SrayError) as refusal:
        source.render(camera)
    assert isinstance(refusal.value, NoViewsError)
    with pytest.raises(SrayError) as refusal:
        source.save_map("../elsewhere")
    assert isinstance(refusal.value, FileError)


def test_settings_are_the_mappers_parameters(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame], camera: Camera
) -> None:
    fed(source, mapper, frames)
    assert source.settings() == Settings("fast")
    before = source.status().revision
    source.change(Settings("high", 0.0, 1.0))
    assert (source.render(camera).view.labels == VOID).all()
    assert source.status().revision > before
    with pytest.raises(SrayError, match="render.min_confidence"):
        source.change(Settings("high", 0.0, 2.0))
    assert source.settings() == Settings("high", 0.0, 1.0), "what was refused has not been taken"


def test_sessions_and_maps_are_saved_on_the_mappers_machine(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame], data_dir: Path
) -> None:
    fed(source, mapper, frames)
    assert "5 keyframes" in source.save_session("seen") and (data_dir / "seen.safetensors").is_file()
    assert "points in" in source.save_map("seen") and (data_dir / "seen.ply").is_file()


@pytest.mark.shows("viewer ~/handled", "viewer /tf", "viewer /tf_static")
def test_the_running_camera_is_where_tf_says(source: MapperSource, mapper: MapperProcess, frames: list[Frame]) -> None:
    fed(source, mapper, frames)

    def is_there() -> bool:
        camera = source.running_camera()
        return camera is not None and torch.allclose(
            camera.world_from_camera, frames[-1].camera.world_from_camera, atol=1e-5
        )

    assert until(is_there), source.running_camera()


@pytest.mark.slow
@pytest.mark.shows("viewer ~/fine_tune/status")
def test_the_mapper_is_taught_and_told_to_go_back(
    source: MapperSource, mapper: MapperProcess, frames: list[Frame], camera: Camera
) -> None:
    """From the pictures alone a random model learns little: whether it takes over or not, the viewer says so."""
    fed(source, mapper, frames)
    model = source.status().text
    source.tune(30, 120.0)
    assert until(lambda: source.tuning().state == "running" and source.tuning().losses, 120), source.tuning()
    assert until(lambda: source.tuning().state != "running", 240)
    told = source.tuning()
    assert told.state in ("accepted", "rejected"), told
    assert told.losses[-1][0] == 30
    if told.state == "accepted":
        assert until(lambda: source.tuning().can_go_back)
        assert until(lambda: source.status().text != model)
        source.use_model("before")
        assert until(lambda: source.status().text == model)
        assert source.tuning().can_go_on


@pytest.mark.fault(
    "a mapper that a viewer looks at ends, and starts again",
    code="STALE",
    says="does not answer",
    recovery="the page keeps what it showed, says so, and shows the new mapper's map as soon as there is one",
)
def test_a_mapper_that_starts_again_is_found_again(
    listener: Listener,
    model_file: Path,
    tmp_path: Path,
    frames: list[Frame],
    camera: Camera,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sray_ros.viewer.source.SILENCE", 1.0)
    monkeypatch.setattr("sray_ros.viewer.source.ANSWERED", 5.0)
    parameters = {"model.path": model_file, "data_dir": tmp_path, **SETTINGS}
    first = MapperProcess(listener, **parameters)
    spun = Spun(listener.domain)
    try:
        source = spun.source
        first.start_over()
        fed(source, first, frames)
        revision = source.status().revision
        source._tuning._told = Tuning("running", "step 3 of 100")
        first.process.kill()
        first.process.wait()
        assert until(lambda: not source.status().is_alive, 60)
        assert until(lambda: source.tuning().state == "failed", 60)
        with pytest.raises(SrayError, match="does not answer") as refusal:
            source.render(camera)
        assert isinstance(refusal.value, StaleError)
        assert "does not answer" in source.status().text
        assert len(source.keyframes()) == len(frames), "what it said last is still shown"
        again = MapperProcess(listener, **parameters)
        again.start_over()
        assert until(lambda: source.status().is_alive and not source.keyframes(), 60)
        assert len(source.map()) == 0 and source.status().revision > revision
        again.send_in_lockstep(frames[:4], 500.0)
        assert until(lambda: len(source.keyframes()) == 4 and len(source.map()) > 0)
        assert len(source.render(camera).sources) == 4
    finally:
        spun.close()
