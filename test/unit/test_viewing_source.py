"""A viewer's source in its own process: it maps, renders, learns, saves, and is served at a port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from waiting import until

from sray.checkpoint import Checkpoint
from sray.errors import BusyError, CanceledError, SrayError, TooFewViewsError
from sray.label_space import VOID, LabelSpace
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.mapping.voxel_map import VoxelMapConfig
from sray.model import SemanticRay, SemanticRayConfig
from sray.viewing.camera_path import fly_between
from sray.viewing.extra import check_port
from sray.viewing.local_source import Feed, LocalSource
from sray.viewing.source import Settings
from sray.viewing.video import path_video

SPACE = LabelSpace("stripes", ("red", "green", "blue"), ((200, 50, 50), (50, 200, 50), (50, 50, 200)), (1, 2, 3))


@pytest.fixture
def checkpoint() -> Checkpoint[SemanticRay]:
    torch.manual_seed(0)
    return Checkpoint(SemanticRay(SemanticRayConfig(3)).eval(), SPACE, {}, "0" * 64)


# Voxels as large as the errors of a random network's depth: each is confirmed by several views.
CONFIG = MapperConfig(KeyframeConfig(min_sharpness=0.0, min_translation=0.05), map=VoxelMapConfig(0.2))


@pytest.fixture
def source(checkpoint: Checkpoint[SemanticRay], plane_scene: Any, tmp_path: Path) -> Iterator[LocalSource]:
    """Six keyframes in front of the wall, mapped."""
    made = LocalSource(checkpoint, CONFIG, "wall", tmp_path)
    frames = [replace(frame, stamp_ns=index + 1) for index, frame in enumerate(plane_scene.ring(6))]
    made.feed(Feed(frames, 6))
    made.finish()
    yield made
    made.close()


def test_it_maps_what_it_is_fed_and_renders_from_it(source: LocalSource, plane_scene: Any) -> None:
    assert [keyframe.number for keyframe in source.keyframes()] == [0, 1, 2, 3, 4, 5]
    assert "frame 6 of 6" in source.status().text
    assert len(source.map()) > 0 and source.map_revision() > 0
    picture = source.picture(3)
    assert picture is not None and picture.shape == (36, 48, 3)
    camera = plane_scene.camera((0.0, 0.0, 0.0))
    answer = source.render(camera)
    assert answer.view.camera.width == 48 and len(answer.sources) == 6
    own = source.keyframes()[2]
    assert 2 in source.render(own.camera).sources
    assert 2 not in source.render(own.camera, own=own).sources, "its own picture can be kept out"


def test_a_saved_session_is_looked_at_as_it_was(
    source: LocalSource, checkpoint: Checkpoint[SemanticRay], tmp_path: Path, plane_scene: Any
) -> None:
    assert str(tmp_path) in source.save_session("monday/wall")
    again = LocalSource(checkpoint, CONFIG, "again", tmp_path)
    again.restore(Session.load(tmp_path / "monday" / "wall.safetensors"))
    np.testing.assert_array_equal(again.map().points, source.map().points)
    camera = plane_scene.camera((0.05, 0.0, 0.0))
    assert torch.equal(again.render(camera).view.labels, source.render(camera).view.labels)
    source.save_map("wall")
    assert (tmp_path / "wall.ply").read_bytes().startswith(b"ply")
    for name in ("", "../wall", "/tmp/wall"):
        with pytest.raises(SrayError, match="is no name in"):
            source.save_session(name)


def test_settings_change_what_is_rendered(source: LocalSource, plane_scene: Any) -> None:
    camera, before = plane_scene.camera((0.0, 0.0, 0.0)), source.status().revision
    assert (source.render(camera).view.labels != VOID).any()
    source.change(Settings(min_confidence=1.0))
    assert (source.render(camera).view.labels == VOID).all()
    assert source.status().revision > before, "who watches is told to look again"
    source.change(Settings("high"))
    assert source.settings().quality == "high"


def test_who_waits_for_a_turn_can_give_up(source: LocalSource, plane_scene: Any) -> None:
    camera = plane_scene.camera((0.0, 0.0, 0.0))
    with source._turn, pytest.raises(SrayError) as refusal:
        source.render(camera, canceled=lambda: True)
    assert isinstance(refusal.value, CanceledError)
    assert len(source.render(camera).sources) == 6, "the next one gets its turn"


def test_a_browser_goes_before_the_frames_that_are_mapped(
    checkpoint: Checkpoint[SemanticRay], plane_scene: Any, tmp_path: Path
) -> None:
    """While somebody renders, no frame is rendered beside; when they are done, mapping goes on to its end."""
    made = LocalSource(checkpoint, CONFIG, "wall", tmp_path)
    made._visitors += 1
    made.feed(Feed([replace(frame, stamp_ns=i + 1) for i, frame in enumerate(plane_scene.ring(6))], 6))
    assert until(lambda: len(made.keyframes()) >= 2)
    time.sleep(0.3)
    assert len(made.map()) == 0
    made._visitors -= 1
    made.finish()
    assert len(made.map()) > 0 and len(made.keyframes()) == 6
    made.close()


def test_it_learns_the_place_and_goes_back(source: LocalSource, plane_scene: Any) -> None:
    camera = plane_scene.camera((0.0, 0.0, 0.0))
    before = source.render(camera).view.labels
    with pytest.raises(SrayError, match="only one model"):
        source.use_model("before")
    source.tune(40, 120.0)
    with pytest.raises(SrayError, match="one job at a time"):
        source.tune(40, 120.0)
    assert until(lambda: source.tuning().state != "running", 200)
    told = source.tuning()
    assert told.state == "accepted", told.text
    assert told.losses[-1][0] == 40 and len(told.scores) >= 2 and told.score_name == "strict mIoU"
    assert told.can_go_back and not told.can_go_on
    after = source.render(camera).view.labels
    assert not torch.equal(after, before)
    source.use_model("before")
    assert torch.equal(source.render(camera).view.labels, before)
    assert source.tuning().can_go_on and not source.tuning().can_go_back
    source.use_model("tuned")
    assert torch.equal(source.render(camera).view.labels, after)


def test_stopped_learning_changes_nothing(source: LocalSource) -> None:
    source.tune(10_000, 600.0)
    assert until(lambda: source.tuning().losses)
    source.stop_tuning()
    assert until(lambda: source.tuning().state != "running", 60)
    assert source.tuning().state == "canceled" and not source.tuning().can_go_back


def test_learning_that_cannot_begin_says_why(
    checkpoint: Checkpoint[SemanticRay], plane_scene: Any, tmp_path: Path
) -> None:
    made = LocalSource(checkpoint, CONFIG, "wall", tmp_path)
    with pytest.raises(SrayError, match="steps is 0"):
        made.tune(0, 60.0)
    made.tune(10, 60.0)
    assert until(lambda: made.tuning().state == "failed")
    assert "keyframes to learn from" in made.tuning().text


def test_a_path_becomes_a_video(source: LocalSource, plane_scene: Any, tmp_path: Path) -> None:
    stops = [plane_scene.camera((0.0, 0.0, 0.0)), plane_scene.camera((0.2, 0.0, 0.0))]
    shares: list[float] = []
    content = path_video(source, fly_between(stops, seconds=0.5), "overlay", on_progress=shares.append)
    (tmp_path / "path.mp4").write_bytes(content)
    assert cv2.VideoCapture(str(tmp_path / "path.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 6
    assert shares[-1] == 1.0 and len(shares) == 6
    with pytest.raises(SrayError) as refusal:
        path_video(source, stops, "overlay", canceled=lambda: True)
    assert isinstance(refusal.value, CanceledError)
    nowhere = [plane_scene.camera((0.0, 0.0, 0.0), 180.0), plane_scene.camera((0.1, 0.0, 0.0), 180.0)]
    with pytest.raises(SrayError) as refusal:
        path_video(source, nowhere, "overlay")
    assert isinstance(refusal.value, TooFewViewsError)


def test_a_viewer_prints_nothing_of_its_own(source: LocalSource, capsys: pytest.CaptureFixture[str]) -> None:
    """An address on the screen must be that of a page which stays."""
    pytest.importorskip("viser")
    from sray.viewing.viewer import Viewer

    with Viewer(source, port=0) as viewer:
        assert viewer.address.startswith("http://")
    assert capsys.readouterr().out == ""


def test_a_port_that_is_taken_is_refused_by_name() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SrayError, match=f"port {port} of 127.0.0.1 is taken") as refusal:
            check_port("127.0.0.1", port)
        assert isinstance(refusal.value, BusyError)
    check_port("127.0.0.1", 0)
    with pytest.raises(SrayError, match="expected an address of this machine"):
        check_port("192.0.2.1", 0)


def test_without_viser_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch, source: LocalSource) -> None:
    import sys

    from sray.viewing.viewer import Viewer

    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(SrayError, match=r"pip install 'sray_ros\[viewer\]'"):
        Viewer(source, port=0)
    assert threading.active_count() < 20
