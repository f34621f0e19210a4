"""`sray render`: the path it takes, the pictures along it, and that it goes on where it stopped."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene, look

from sray.camera import Camera
from sray.checkpoint import save_checkpoint
from sray.errors import SrayError, TooFewViewsError
from sray.field import RenderedView, SemanticField
from sray.frames import SourceViews
from sray.label_space import ROOMS
from sray.model import SemanticRay, SemanticRayConfig
from sray.render_config import RenderConfig
from sray.sequence_writer import SequenceWriter
from sray_train.cli import main
from sray_train.cli.render import Render
from sray_train.data.scene import Scene
from sray_train.tools.rendering.camera_path import KEPT_FEATURES, PathRenderer, Stop, fly_through, recorded_path
from sray_train.tools.rendering.path_video import legend_strip
from sray_train.tools.rendering.render_folder import KINDS

PLANE = PlaneScene(width=32, height=24)


def make_scene(count: int = 4) -> Scene:
    frames = [PLANE.frame((0.2 * i - 0.3, 0.1 * i * i, 0.0), yaw_degrees=10.0 * i) for i in range(count)]
    return Scene("wall", frames, Camera.stack([frame.camera for frame in frames]))


@pytest.fixture(scope="module")
def model() -> SemanticRay:
    torch.manual_seed(2)
    return SemanticRay(SemanticRayConfig(ROOMS.classes))


@pytest.fixture
def field(model: SemanticRay) -> SemanticField:
    return SemanticField(model, RenderConfig.preset("fast"))


# The path
@pytest.mark.parametrize("between", [0, 1, 4])
def test_a_flight_passes_the_recorded_cameras_exactly(between: int) -> None:
    scene = make_scene()
    stops = fly_through(scene, between)
    assert len(stops) == 3 * (between + 1) + 1
    for index in range(4):
        stop = stops[index * (between + 1)]
        assert stop.own == index
        assert torch.equal(stop.camera.world_from_camera, scene.cameras.world_from_camera[index])
        assert torch.equal(stop.camera.intrinsics, scene.cameras.intrinsics[index])
    assert sum(stop.own is None for stop in stops) == 3 * between


def test_between_the_cameras_it_turns_evenly_and_never_leaves_their_range() -> None:
    """Yaw goes by 10 degrees a frame: 2.5 a step. x goes evenly; y, 0 0.1 0.4 0.9, stays between its neighbors."""
    scene = make_scene()
    stops = fly_through(scene, 3)
    for step, stop in enumerate(stops):
        pose = stop.camera.world_from_camera.double()
        yaw = math.degrees(math.atan2(float(pose[0, 2]), float(pose[2, 2])))
        assert yaw == pytest.approx(2.5 * step, abs=1e-3)
        torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].T, torch.eye(3).double(), atol=1e-6, rtol=0)
        assert float(pose[0, 3]) == pytest.approx(0.05 * step - 0.3, abs=1e-6)
        before, after = (scene.cameras.center[min(3, key)] for key in (step // 4, step // 4 + 1))
        assert before[1] - 1e-6 <= pose[1, 3] <= after[1] + 1e-6


def test_a_flight_that_turns_back_stays_within_the_walls() -> None:
    """Forward, forward, still, back: a plain cubic would swing out beyond the farthest camera."""
    places = [0.0, 1.0, 1.0, 0.0]
    frames = [PLANE.frame((x, 0.0, 0.0)) for x in places]
    stops = fly_through(Scene("turn", frames, Camera.stack([frame.camera for frame in frames])), 9)
    assert max(float(stop.camera.center[0]) for stop in stops) <= 1 + 1e-6


def test_intrinsics_change_along() -> None:
    scene = make_scene(2)
    intrinsics = scene.cameras.intrinsics.clone()
    intrinsics[1, 0, 0] += 10
    stops = fly_through(replace(scene, cameras=replace(scene.cameras, intrinsics=intrinsics)), 1)
    assert float(stops[1].camera.intrinsics[0, 0]) == pytest.approx(45)


def test_a_path_needs_two_frames() -> None:
    with pytest.raises(SrayError) as caught:
        fly_through(make_scene(1), 2)
    assert isinstance(caught.value, TooFewViewsError)
    with pytest.raises(ValueError, match="-1 frames between"):
        fly_through(make_scene(), -1)


# Rendering along it
def test_a_picture_is_what_the_field_renders(field: SemanticField, model: SemanticRay) -> None:
    """The features it keeps are those that the field would compute; float32 sums in another order."""
    scene = make_scene()
    renderer = PathRenderer(field, scene, 2)
    stop = recorded_path(scene)[1]
    renderer.render(recorded_path(scene)[0])
    view = renderer.render(stop, scale=0.5)
    chosen = renderer.sources(stop)
    assert 1 not in chosen and len(chosen) == 2
    own = SemanticField(model, RenderConfig.preset("fast"))
    own.set_sources(replace(SourceViews.from_frames([scene.frames[index] for index in chosen]), depth=None))
    expected = own.render(scene.cameras[1], scale=0.5)
    assert (view.labels != expected.labels).float().mean() < 0.01
    torch.testing.assert_close(view.color, expected.color, atol=2e-3, rtol=0)
    torch.testing.assert_close(view.depth, expected.depth, atol=2e-2, rtol=0, equal_nan=True)


def test_a_frame_is_its_own_source_only_when_asked(field: SemanticField) -> None:
    scene = make_scene()
    for stop in recorded_path(scene):
        assert stop.own not in PathRenderer(field, scene, 3).sources(stop)
        assert stop.own == PathRenderer(field, scene, 3, include_own=True).sources(stop)[0]
    between = Stop(scene.cameras[1], None)
    assert PathRenderer(field, scene, 1).sources(between) == [1], "nobody's own camera"
    with pytest.raises(SrayError) as caught:
        PathRenderer(field, make_scene(1), 3).sources(Stop(scene.cameras[0], 0))
    assert isinstance(caught.value, TooFewViewsError)


def test_depth_guides_only_when_asked(field: SemanticField, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    show = field.set_sources
    monkeypatch.setattr(
        field, "set_sources", lambda views, *how: (given.append(views.depth is not None), show(views, *how))
    )
    scene = make_scene()
    for depth in (False, True):
        PathRenderer(field, scene, 2, depth=depth).render(recorded_path(scene)[0], 0.25)
    assert given == [False, True]


def test_a_frame_is_encoded_once_and_old_features_leave(field: SemanticField, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    encode = field.encode
    monkeypatch.setattr(field, "encode", lambda image, camera: (encoded.append(1), encode(image, camera))[1])
    scene = make_scene()
    renderer = PathRenderer(field, scene, 2)
    for stop in recorded_path(scene):
        renderer.render(stop, 0.25)
    assert len(encoded) == 4
    assert len(renderer._features) == 4 <= KEPT_FEATURES


# The command
Command = Callable[..., Path]


@pytest.fixture
def command(model: SemanticRay, tmp_path: Path) -> Command:
    """Runs it on three pictures of wall, floor and cabinet in stripes, and gives the scene's folder."""
    save_checkpoint(tmp_path / "tiny.safetensors", model, ROOMS)
    writer = SequenceWriter(tmp_path / "walk")
    for number, frame in enumerate(make_scene(3).frames):
        writer.add(number, frame)

    def rendered(*arguments: str) -> Path:
        files = [
            "--checkpoint",
            tmp_path / "tiny.safetensors",
            "--sequence",
            tmp_path / "walk",
            "--output",
            tmp_path / "out",
        ]
        fixed = ["--quality", "fast", "--views", "2", "--width", "32", "--threads", "1"]
        main(["render", *map(str, files), *fixed, *arguments])
        return tmp_path / "out" / "walk"

    return rendered


def test_it_renders_every_recorded_camera(command: Command) -> None:
    folder = command("--scale", "0.5")
    for kind in KINDS:
        assert sorted(path.name for path in (folder / kind).iterdir()) == [f"00000{i}.png" for i in range(3)]
    assert cv2.imread(str(folder / "color/000000.png")).shape == (12, 16, 3)
    record = json.loads((folder / "render.json").read_text())
    assert [camera["own_frame"] for camera in record["cameras"]] == [0, 1, 2]
    np.testing.assert_allclose(
        record["cameras"][1]["world_from_camera"], look((-0.1, 0.1, 0.0), 10.0).numpy(), atol=1e-6
    )


def test_depth_that_is_not_there_is_named(command: Command, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "walk" / "depth")
    with pytest.raises(SystemExit, match="walk has no depth.*Leave out --depth"):
        command("--depth")


def test_stopped_it_goes_on_with_what_is_missing(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    render: Any = SemanticField.render
    rendered: list[int] = []

    def counted(self: SemanticField, camera: Camera, **how: Any) -> RenderedView:
        if len(rendered) == 2:
            raise KeyboardInterrupt
        rendered.append(1)
        return render(self, camera, **how)

    monkeypatch.setattr(SemanticField, "render", counted)
    with pytest.raises(SystemExit) as stop:
        command("--scale", "0.5")
    assert stop.value.code == 130
    rendered.clear()
    folder = command("--scale", "0.5")
    assert len(rendered) == 1 and "2 of 3 pictures are there already" in capsys.readouterr().out
    kept = (folder / "color/000000.png").stat().st_mtime_ns
    rendered.clear()
    command("--scale", "0.5")
    assert not rendered and (folder / "color/000000.png").stat().st_mtime_ns == kept
    with pytest.raises(SystemExit, match="scale 0.5, now 0.25"):
        command("--scale", "0.25")
    (folder / "labels/000001.png").unlink()
    command("--scale", "0.5")
    assert len(rendered) == 1, "a number without one of its pictures is rendered again"


def test_a_video_and_a_cloud_hold_the_whole_path(command: Command) -> None:
    folder = command(
        "--scale", "0.5", "--frames-between", "1", "--video", "--rate", "5", "--ply", "--voxel-size", "0.1"
    )
    video = cv2.VideoCapture(str(folder / "video.mp4"))
    shape = [video.get(name) for name in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_WIDTH)]
    assert shape == [5, 5, 3 * 320]
    _, first = video.read()
    labels = cv2.imread(str(folder / "label_colors/000000.png"))
    shown = first[:240, 320:640][10::20, 10::20].astype(int)
    assert np.abs(shown - labels).mean() < 25, "the middle is the labels, each pixel 20 times as large"
    assert not list(folder.glob(".*partial*"))
    header = (folder / "cloud.ply").read_bytes().partition(b"end_header")[0].decode()
    assert int(header.partition("element vertex ")[2].split()[0]) > 50


def test_the_legend_names_what_is_there_and_breaks_its_lines() -> None:
    one = legend_strip(ROOMS, [0], 400)
    assert (one == np.array(ROOMS.colors[0])).all(-1).sum() == 14 * 14
    assert not (one == np.array(ROOMS.colors[1])).all(-1).any()
    assert legend_strip(ROOMS, list(range(16)), 400).shape[0] > 2 * one.shape[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "one of --sequence and --seeds"),
        ({"seeds": ("9000",), "sequence": Path("a")}, "--seeds and --sequence are given"),
        ({"seeds": ("9000",), "scale": 0.0}, "scale is 0"),
        ({"seeds": ("9000",), "frames_between": -1}, "frames-between is -1"),
        ({"seeds": ("x",)}, "x"),
    ],
)
def test_a_wrong_option_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Render(**arguments)
