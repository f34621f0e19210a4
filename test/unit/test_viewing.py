"""Looking around without a browser: the newest camera wins, what is painted, what a click says, a local source."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from sray.camera import Camera
from sray.checkpoint import Checkpoint
from sray.errors import BusyError, CanceledError, SrayError, TooFewViewsError
from sray.field import RenderedView
from sray.label_space import VOID, LabelSpace
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.model import SemanticRay, SemanticRayConfig
from sray.viewing.camera_path import fly_between
from sray.viewing.extra import check_port
from sray.viewing.local_source import Feed, LocalSource
from sray.viewing.painter import LEAST_PREVIEW, PREVIEW_SECONDS, REST, Painter, Viewpoint
from sray.viewing.pictures import OUTPUTS, compared, depth_range, paint, scale_html
from sray.viewing.pointed import in_words, pointed_at
from sray.viewing.source import Answer, Settings, ShownKeyframe, TuningLog
from sray.viewing.video import VideoFile, path_video

SPACE = LabelSpace("stripes", ("red", "green", "blue"), ((200, 50, 50), (50, 200, 50), (50, 50, 200)), (1, 2, 3))


def until(condition: Callable[[], object], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def viewpoint(x: float = 0.0) -> Viewpoint:
    pose = np.eye(4)
    pose[0, 3] = x
    return Viewpoint(pose, fov=1.0, aspect=4 / 3)


# --- the painter


class Canvas:
    """What a painter is given; renders take as long as they are told to, or until they are canceled."""

    def __init__(self, full_seconds: float = 0.0, pixels: int = 300) -> None:
        self.full_seconds = full_seconds
        self.shown: list[tuple[float, bool]] = []
        """Where from, and whether it is a full one."""
        self.sizes: list[tuple[int, int]] = []
        self.canceled: list[float] = []
        self.complaints: list[type[SrayError]] = []
        self.refuses: type[SrayError] | None = None
        self.painter = Painter(
            self.render, self.show, lambda error: self.complaints.append(type(error)), lambda: pixels
        )

    def render(self, camera: Camera, is_preview: bool, canceled: Callable[[], bool]) -> Answer:
        x = float(camera.world_from_camera[0, 3])
        self.sizes.append((camera.width, camera.height))
        if self.refuses is not None:
            raise self.refuses("no")
        ends = time.monotonic() + (0.0 if is_preview else self.full_seconds)
        while time.monotonic() < ends:
            if canceled():
                self.canceled.append(x)
                raise CanceledError("canceled")
            time.sleep(0.005)
        return Answer(RenderedView.blank(camera), ())

    def show(self, answer: Answer, is_full: bool) -> None:
        self.shown.append((float(answer.view.camera.world_from_camera[0, 3]), is_full))


@pytest.fixture
def canvas() -> Iterator[Callable[..., Canvas]]:
    made: list[Canvas] = []

    def make(**how: Any) -> Canvas:
        made.append(Canvas(**how))
        return made[-1]

    yield make
    for each in made:
        each.painter.close()


def test_a_camera_that_rests_gets_a_small_picture_and_then_a_full_one(canvas: Callable[..., Canvas]) -> None:
    here = canvas()
    here.painter.look(viewpoint(1.0))
    assert until(lambda: len(here.shown) == 2)
    assert here.shown == [(1.0, False), (1.0, True)]
    time.sleep(2 * REST)
    assert len(here.shown) == 2, "a camera that rests is painted once"
    assert len(here.painter.latency.preview) == len(here.painter.latency.full) == 1
    assert here.painter.latency.full[0] >= REST


def test_a_full_picture_is_given_up_for_a_newer_camera(canvas: Callable[..., Canvas]) -> None:
    here = canvas(full_seconds=30.0)
    here.painter.look(viewpoint(1.0))
    assert until(lambda: len(here.sizes) == 2), "the full picture has begun"
    asked = time.monotonic()
    here.full_seconds = 0.0
    here.painter.look(viewpoint(2.0))
    assert until(lambda: (2.0, True) in here.shown)
    assert time.monotonic() - asked < 10, "it did not wait for the old picture"
    assert here.canceled == [1.0]
    assert here.painter.canceled == 1
    assert (1.0, True) not in here.shown


def test_cameras_that_were_passed_are_never_rendered(canvas: Callable[..., Canvas]) -> None:
    """Of a hundred that come while one is being rendered, the last one alone is."""
    here = canvas(full_seconds=0.3)
    here.painter.look(viewpoint(1.0))
    assert until(lambda: len(here.sizes) == 2)
    for step in range(100):
        here.painter.look(viewpoint(2.0 + step))
    assert until(lambda: (101.0, True) in here.shown)
    assert {x for x, _ in here.shown} <= {1.0, 2.0, 101.0} | {2.0 + step for step in range(100)}
    assert len(here.sizes) < 20


def test_without_a_picture_the_browser_is_told_why_and_asked_again_when_it_moves(canvas: Callable[..., Canvas]) -> None:
    here = canvas()
    here.refuses = TooFewViewsError
    here.painter.look(viewpoint(1.0))
    assert until(lambda: here.complaints)
    time.sleep(2 * REST)
    assert here.complaints == [TooFewViewsError], "it is not asked over and over"
    here.refuses = None
    here.painter.look(viewpoint(2.0))
    assert until(lambda: (2.0, True) in here.shown)


def test_closing_cancels_what_is_being_rendered_and_ends_the_thread(canvas: Callable[..., Canvas]) -> None:
    here = canvas(full_seconds=30.0)
    here.painter.look(viewpoint(1.0))
    assert until(lambda: len(here.sizes) == 2)
    here.painter.close()
    assert not here.painter._thread.is_alive()
    assert here.canceled == [1.0]
    assert here.shown == [(1.0, False)], "who has gone is shown nothing"


def test_small_pictures_become_as_large_as_comes_in_time(canvas: Callable[..., Canvas]) -> None:
    here = canvas(pixels=100_000)
    for step in range(8):
        count = len(here.shown)
        here.painter.look(viewpoint(step))
        assert until(lambda count=count: len(here.shown) >= count + 1)
    small = [size for size in here.sizes if size[0] * size[1] < 90_000]
    assert small[-1][0] > small[0][0], "rendering took no time: they grew"
    here.painter._preview_pixels = 10_000
    here.painter._learn(10_000, 4 * PREVIEW_SECONDS)
    assert here.painter._preview_pixels < 8_000, "it took four times too long: they shrink"
    for _ in range(20):
        here.painter._learn(here.painter._preview_pixels, 10.0)
    assert here.painter._preview_pixels == LEAST_PREVIEW


def test_a_viewpoint_is_the_browsers_camera() -> None:
    camera = viewpoint(0.5).camera(pixels=4800)
    assert (camera.width, camera.height) == (80, 60)
    assert float(camera.intrinsics[1, 1]) == pytest.approx(30 / np.tan(0.5))
    assert camera.intrinsics[0, 2] == 39.5 and camera.intrinsics[1, 2] == 29.5
    corner = camera.ray_directions(torch.tensor([[39.5, -0.5]]))[0]
    assert float(torch.atan2(-corner[1], corner[2])) == pytest.approx(0.5), "half the field of view above the middle"


# --- what is painted


def view_of(labels: list[list[int]], depth: list[list[float]]) -> RenderedView:
    height, width = len(labels), len(labels[0])
    intrinsics = torch.tensor([[float(width), 0, (width - 1) / 2], [0, float(width), (height - 1) / 2], [0, 0, 1]])
    view = RenderedView.blank(Camera(intrinsics, torch.eye(4), width, height))
    view.labels[:] = torch.tensor(labels, dtype=torch.uint8)
    view.depth[:] = torch.tensor(depth)
    view.confidence[:] = (view.labels != VOID).float() * 0.75
    view.color[:] = 0.5
    view.coverage[:] = (view.labels != VOID).to(torch.uint8) * 4
    return view


NAN = float("nan")
VIEW = view_of([[0, 1, VOID], [2, 1, 0]], [[1.0, 2.0, NAN], [3.0, 2.0, 1.0]])


def test_labels_and_overlay_are_in_the_label_spaces_colors_without_hidden_classes() -> None:
    picture, ends = paint(VIEW, "labels", SPACE)
    assert picture[0].tolist() == [[200, 50, 50], [50, 200, 50], [0, 0, 0]] and ends is None
    hidden, _ = paint(VIEW, "labels", SPACE, hidden={1})
    assert hidden[0].tolist() == [[200, 50, 50], [0, 0, 0], [0, 0, 0]]
    overlay, _ = paint(VIEW, "overlay", SPACE, hidden={1})
    assert overlay[0, 1].tolist() == [128] * 3, "color alone where the class is hidden"
    assert overlay[0, 0].tolist() == [164, 89, 89]


def test_depth_is_bright_near_with_its_ends_told_and_white_where_unknown() -> None:
    picture, ends = paint(VIEW, "depth", SPACE)
    assert ends == pytest.approx((1.0, 3.0), abs=0.2)
    assert ends == depth_range(VIEW.depth.numpy())
    luminance = picture.astype(int).sum(-1)
    assert luminance[0, 0] > luminance[0, 1] > luminance[1, 0]
    assert picture[0, 2].tolist() == [255, 255, 255]
    assert depth_range(view_of([[VOID]], [[NAN]]).depth.numpy()) == (0.0, 1.0)


def test_coverage_and_confidence_tell_what_their_colors_mean() -> None:
    assert paint(VIEW, "coverage", SPACE)[1] == (0.0, 4.0)
    assert paint(VIEW, "confidence", SPACE)[1] == (0.0, 1.0)
    assert "4 views" in scale_html("coverage", (0.0, 4.0))
    assert "1.25 m" in scale_html("depth", (1.25, 3.0))
    for output in OUTPUTS:
        assert paint(VIEW, output, SPACE)[0].shape == (2, 3, 3)


def test_the_comparison_shows_the_picture_left_and_the_rendering_right() -> None:
    left, right = np.full((4, 10, 3), 10, np.uint8), np.full((2, 5, 3), 200, np.uint8)
    both = compared(left, right, 0.5)
    assert (both[:, :4] == 10).all() and (both[:, 6:] == 200).all() and (both[:, 4:6] == 255).all()
    assert (compared(left, right, 0.0)[:, 1:] == 200).all()
    assert (compared(left, right, 1.0)[:, :-1] == 10).all()


# --- what a click says


def test_a_click_says_class_probability_distance_and_who_saw_it() -> None:
    """A point 2 m ahead; one keyframe looks at it, one has something in front of it, one looks away."""
    away = torch.eye(4)
    away[:3, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    camera = replace(VIEW.camera, width=300, height=200, intrinsics=VIEW.camera.resized(300, 200).intrinsics)
    keyframes = [
        ShownKeyframe(4, camera, 1),
        ShownKeyframe(7, camera, 2, has_depth=True),
        ShownKeyframe(8, camera, 3, has_depth=True),
        ShownKeyframe(9, replace(camera, world_from_camera=away), 4),
    ]
    depths = {7: torch.full((200, 300), 2.0), 8: torch.full((200, 300), 1.0)}
    pointed = pointed_at(VIEW, (0.5, 0.9), SPACE, keyframes, depths.get)
    assert pointed.name == "green" and pointed.probability == 0.75
    assert pointed.distance == pytest.approx(2 * float(np.hypot(1, 0.5 / 3)))
    assert pointed.seen_by == (4, 7)
    words = in_words(pointed, sources=(7,))
    assert "**green**" in words and "2.03 m" in words and "**7**, 4" in words


def test_a_click_on_nothing_says_so() -> None:
    pointed = pointed_at(VIEW, (0.99, 0.0), SPACE, [], lambda number: None)
    assert pointed.point is None and "Nothing is known" in in_words(pointed, ())


# --- videos


def test_a_video_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with VideoFile(path, 5) as video:
        for shade in (0, 100, 200):
            video.write(np.full((31, 41, 3), shade, np.uint8))
    clip = cv2.VideoCapture(str(path))
    assert clip.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert (clip.get(cv2.CAP_PROP_FRAME_WIDTH), clip.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (42, 32)
    before = path.read_bytes()
    with pytest.raises(RuntimeError), VideoFile(path, 5) as video:
        video.write(np.zeros((32, 40, 3), np.uint8))
        raise RuntimeError
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


# --- a source in this process


@pytest.fixture
def checkpoint() -> Checkpoint[SemanticRay]:
    torch.manual_seed(0)
    return Checkpoint(SemanticRay(SemanticRayConfig(3)).eval(), SPACE, {}, "0" * 64)


CONFIG = MapperConfig(KeyframeConfig(min_sharpness=0.0, min_translation=0.05))


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


def test_a_curve_holds_what_changed() -> None:
    log = TuningLog()
    log.add(0, {}, 0.3, NAN)
    log.add(1, {"semantic": 2.0, "color": 0.5}, 0.3, NAN)
    log.add(2, {"semantic": 1.0}, 0.4, NAN)
    assert log.losses == [(1, 2.5), (2, 1.0)] and log.scores == [(0, 0.3), (2, 0.4)]
    log.add(3, {"color": 1.0}, NAN, 21.0)
    assert log.score_name == "PSNR (dB)" and log.scores[-1] == (3, 21.0)


# --- where it is served


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
