"""What a view is rendered from and how: each parameter by its effect, and that is the field's own, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import PlaneScene
from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Log
from rig.mapper import UNCONFIGURED, MapperProcess, checkpoint
from rig.views import LATCHED, Oracle, as_heard, as_started, goal_for, pixels, points_of, pose_of, view
from rig.views import SETTINGS as EXACT
from sensor_msgs.msg import Image
from visualization_msgs.msg import MarkerArray

from sray.camera import Camera
from sray.checkpoint import load_checkpoint
from sray.field import RenderedView
from sray.frames import Frame
from sray.label_space import VOID
from sray_interfaces.action import RenderView
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {**EXACT, "trigger": "request"}
EVERYTHING = {f"want_{name}": True for name in ("label", "confidence", "color", "depth", "coverage", "points")}


@pytest.fixture(autouse=True)
def others_as_started(process: MapperProcess) -> Iterator[None]:
    yield
    assert process.set(**as_started(SETTINGS)) == ""


@pytest.fixture
def camera(plane_scene: PlaneScene) -> Camera:
    """Of the views that the tests ask for: none of the keyframes'."""
    asked = plane_scene.camera((0.05, 0.02, 0.0), yaw_degrees=3.0)
    return as_heard(asked, pose_of(asked))


@pytest.fixture
def oracle(mapper: MapperProcess, frames: list[Frame], data_dir: Path, model_file: Path) -> Oracle:
    """Of a mapper that has seen all frames."""
    mapper.send_in_lockstep(frames)
    return Oracle(mapper, data_dir, model_file)


def assert_is(result: RenderView.Result, expected: RenderedView) -> None:
    """Bit for bit."""
    np.testing.assert_array_equal(pixels(result.label), expected.labels.numpy())
    np.testing.assert_array_equal(pixels(result.coverage), expected.coverage.numpy())
    np.testing.assert_array_equal(pixels(result.confidence, np.float32), expected.confidence.numpy())
    np.testing.assert_array_equal(pixels(result.depth, np.float32), expected.depth.numpy())
    np.testing.assert_array_equal(pixels(result.color), (expected.color.numpy() * 255).round().astype(np.uint8))


@pytest.mark.shows("error OK", "~/render_view", "render.quality")
def test_a_view_is_the_fields_own_to_the_bit_at_every_quality(
    mapper: MapperProcess, oracle: Oracle, camera: Camera
) -> None:
    seen = set()
    for quality in ("fast", "balanced", "high", "reference"):
        assert mapper.set(render__quality=quality) == ""
        result = view(mapper, camera, **EVERYTHING)
        assert result.quality == quality
        assert_is(result, oracle.render(result.keyframe_ids, camera, quality=quality))
        seen.add(bytes(result.confidence.data))
    assert len(seen) == 4


@pytest.mark.shows("~/render_view", "error BAD_CAMERA_INFO", "error BAD_POSE")
def test_a_view_for_a_camera_of_its_own_at_a_scale_is_the_fields_own(
    mapper: MapperProcess, oracle: Oracle, camera: Camera
) -> None:
    goal = goal_for(camera, scale=0.5, **EVERYTHING)
    goal.camera_info.width, goal.camera_info.height = 60, 44
    goal.camera_info.k = [45.0, 0.0, 31.0, 0.0, 44.0, 20.0, 0.0, 0.0, 1.0]
    result = mapper.answer(mapper.ask(goal)).result
    assert (result.error_text, result.scale) == ("", 0.5)

    asked = Camera(torch.tensor(goal.camera_info.k).float().reshape(3, 3), camera.world_from_camera, 60, 44)
    expected = oracle.render(result.keyframe_ids, asked, scale=0.5)
    assert_is(result, expected)
    assert (
        (result.label.width, result.label.height) == (30, 22) == (result.camera_info.width, result.camera_info.height)
    )
    np.testing.assert_allclose(np.array(result.camera_info.k).reshape(3, 3), expected.camera.intrinsics)

    def refused() -> ErrorCode:
        return ErrorCode(mapper.answer(mapper.ask(goal)).result.error_code)

    goal.scale = 1.5
    assert refused() is ErrorCode.BAD_REQUEST
    goal.scale, goal.camera_info.k = 1.0, [0.0] * 9
    assert refused() is ErrorCode.BAD_CAMERA_INFO
    goal.viewpoint.pose.orientation.w = goal.viewpoint.pose.orientation.y = 0.0
    assert refused() is ErrorCode.BAD_POSE


@pytest.mark.shows("views.count", "views.min", "error TOO_FEW_VIEWS")
def test_as_many_sources_serve_as_configured_and_fewer_than_the_least_are_refused(
    mapper: MapperProcess, oracle: Oracle, camera: Camera
) -> None:
    chosen = {}
    for count in (2, 4, 8):
        assert mapper.set(views__count=count) == ""
        result = view(mapper, camera, **EVERYTHING)
        chosen[count] = list(result.keyframe_ids)
        assert_is(result, oracle.render(chosen[count], camera))
    assert [len(ids) for ids in chosen.values()] == [2, 4, 5]
    assert chosen[8][:2] == chosen[2], "best first"
    assert mapper.set(views__min=6) == ""
    refused = mapper.answer(mapper.ask(goal_for(camera))).result
    assert ErrorCode(refused.error_code) is ErrorCode.TOO_FEW_VIEWS
    assert "5 of 5 keyframes can serve" in refused.error_text
    assert "at least 6" in refused.error_text
    assert mapper.set(views__min=5) == ""
    assert len(view(mapper, camera).keyframe_ids) == 5


@pytest.mark.shows("views.include_own", "~/frustums")
def test_a_frame_may_be_a_source_for_its_own_camera(mapper: MapperProcess, frames: list[Frame]) -> None:
    frustums = mapper.hear(MarkerArray, "/semantic_mapper/frustums", LATCHED)
    lines = {}
    for own in (False, True):
        assert mapper.set(views__include_own=own, trigger="keyframe") == ""
        mapper.start_over()
        mapper.send_in_lockstep(frames)
        # The latched one that a late listener gets is that of the last view; each frustum has eight lines.
        assert mapper.listener.until(lambda: frustums and len(frustums[-1].markers[0].points) >= 4 * 16)
        if own:
            assert mapper.listener.until(lambda: len(frustums[-1].markers[0].points) == 5 * 16)
        lines[own] = {len(message.markers[0].points) // 16 for message in frustums}
        del frustums[:]
    assert lines[False] == {2, 3, 4}
    assert lines[True] == {2, 3, 4, 5}


@pytest.mark.shows("near", "far")
def test_samples_lie_between_near_and_far(mapper: MapperProcess, oracle: Oracle, camera: Camera) -> None:
    for near, far in ((0.5, 4.0), (1.8, 2.2), (3.0, 3.5)):
        assert mapper.set(near=near, far=far) == ""
        result = view(mapper, camera, **EVERYTHING)
        assert_is(result, oracle.render(result.keyframe_ids, camera, bounds=(near, far)))
        depth = pixels(result.depth, np.float32)
        assert near <= np.nanmin(depth) <= np.nanmax(depth) <= far


@pytest.mark.shows("render.width", "render.height")
def test_a_view_has_the_configured_size_or_keeps_its_proportion(
    mapper: MapperProcess, oracle: Oracle, camera: Camera
) -> None:
    for width, height, size in ((24, 0, (24, 18)), (0, 27, (36, 27)), (20, 30, (20, 30)), (0, 0, (48, 36))):
        assert mapper.set(render__width=width, render__height=height) == ""
        result = view(mapper, camera, **EVERYTHING)
        assert_is(result, oracle.render(result.keyframe_ids, camera.resized(*size)))
        assert (
            (result.label.width, result.label.height) == size == (result.camera_info.width, result.camera_info.height)
        )


@pytest.mark.shows("render.min_opacity", "render.min_coverage", "render.min_confidence")
@pytest.mark.parametrize("what", ["opacity", "coverage", "confidence"])
def test_what_is_too_little_is_void_as_the_field_says(
    mapper: MapperProcess, oracle: Oracle, camera: Camera, what: str
) -> None:
    before = view(mapper, camera, **EVERYTHING)
    threshold = threshold_within(oracle.render(before.keyframe_ids, camera, min_coverage=0.0), what)
    assert mapper.set(**{"render__min_coverage": 0.0, f"render__min_{what}": threshold}) == ""
    result = view(mapper, camera, **EVERYTHING)
    expected = oracle.render(result.keyframe_ids, camera, **{"min_coverage": 0.0, f"min_{what}": threshold})
    assert_is(result, expected)
    void = pixels(result.label) == VOID
    assert 0.05 < void.mean() < 0.95, "a threshold amid the values"
    assert (pixels(result.confidence, np.float32)[void] == 0).all()
    assert np.isnan(pixels(result.depth, np.float32)[void]).all()
    assert result.points.width == int((~void).sum())


@pytest.mark.shows("render.match_exposure")
def test_keyframes_are_brought_to_one_exposure(mapper: MapperProcess, frames: list[Frame]) -> None:
    """Every second picture is half as bright; each is looked at alone, from its own place. The view is as bright as the
    picture, its points are as bright as everybody's."""
    taken = [replace(each, image=each.image // 2) if place % 2 else each for place, each in enumerate(frames)]
    assert mapper.set(depth__use=True, views__count=1, views__min=1) == ""
    mapper.start_over()
    mapper.send_in_lockstep(taken)

    def shown(place: int) -> tuple[np.ndarray, np.ndarray]:
        result = view(mapper, frames[place].camera, want_color=True, want_points=True)
        colors = points_of(result.points)[1]
        return pixels(result.color).astype(np.float64), colors.astype(np.float64)

    matched = [shown(place) for place in (2, 3)]
    assert mapper.set(render__match_exposure=False) == ""
    gains = []
    for place, (color, points) in zip((2, 3), matched, strict=True):
        plain, plain_points = shown(place)
        np.testing.assert_allclose(color, plain, atol=2)
        clear = (plain_points > 25) & (points < 230)
        gains.append(np.median(points[clear] / plain_points[clear]))
    assert gains[1] / gains[0] == pytest.approx(2, rel=0.1) and gains[0] < 1 < gains[1]


def threshold_within(view: RenderedView, what: str) -> float:
    """Amid the values."""
    values = getattr(view, what).float().numpy()
    return float(np.median(values)) - 0.5 if what == "coverage" else float(np.median(values))


@pytest.mark.shows("trigger", "render.max_rate", "~/label/image", "~/handled")
def test_views_by_trigger_come_no_faster_than_configured(mapper: MapperProcess, frames: list[Frame]) -> None:
    labels = mapper.hear(Image, "/semantic_mapper/label/image", 10)
    assert mapper.set(trigger="timer") == ""
    mapper.start_over()
    mapper.send_in_lockstep(frames[:3])
    assert mapper.listener.until(lambda: len(labels) == 1)  # two sources at least
    assert mapper.set(render__max_rate=0.001) == ""
    mapper.send_in_lockstep(frames[3:], 103.0)
    assert mapper.set(render__max_rate=0.0) == ""
    mapper.send_in_lockstep(frames[4:], 105.0)
    assert mapper.listener.until(lambda: labels[-1].header.stamp.sec == 105)
    assert [label.header.stamp.sec for label in labels] == [102, 105]


@pytest.mark.shows("render.max_latency", "error STALE")
def test_a_request_that_cannot_be_in_time_is_stale(mapper: MapperProcess, oracle: Oracle, camera: Camera) -> None:
    assert mapper.set(render__max_latency=1e-6) == ""
    refused = mapper.answer(mapper.ask(goal_for(camera))).result
    assert ErrorCode(refused.error_code) is ErrorCode.STALE
    assert "render.max_latency" in refused.error_text
    assert mapper.set(render__max_latency=0.0) == ""
    assert view(mapper, camera).label.width == 48


@pytest.mark.shows("cloud.stride", "cloud.min_confidence", "cloud.max_jump", "~/points")
def test_points_are_every_so_many_pixels_with_confidence_enough(
    mapper: MapperProcess, oracle: Oracle, camera: Camera
) -> None:
    result = view(mapper, camera, **EVERYTHING)
    label, confidence = pixels(result.label), pixels(result.confidence, np.float32)
    enough = float(np.median(confidence[label != VOID]))
    for stride, least in ((1, 0.0), (3, 0.0), (1, enough), (2, enough)):
        assert mapper.set(cloud__stride=stride, cloud__min_confidence=least, cloud__max_jump=1e6) == ""
        kept = ((label != VOID) & (confidence >= np.float32(least)))[::stride, ::stride]
        xyz, _, labels, confidences = points_of(view(mapper, camera, **EVERYTHING).points)
        assert len(xyz) == kept.sum() > 20
        np.testing.assert_array_equal(labels, label[::stride, ::stride][kept])
        np.testing.assert_array_equal(confidences, confidence[::stride, ::stride][kept])
    assert mapper.set(cloud__max_jump=0.05) == ""
    assert len(points_of(view(mapper, camera, **EVERYTHING).points)[0]) < len(xyz), "edges of depth are left out"


@pytest.mark.shows("model.path", "model.device", "error MODEL_MISMATCH")
def test_the_model_and_its_device_are_those_configured(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path, model_file: Path
) -> None:
    other = checkpoint(data_dir / "another.safetensors", seed=5)
    try:
        assert mapper.set(model__path=str(other), model__device="cpu") == ""
        mapper.start_over()
        mapper.send_in_lockstep(frames)
        assert view(mapper, frames[0].camera).model_id == load_checkpoint(other).id != load_checkpoint(model_file).id
        assert mapper.listener.until(lambda: mapper.value("model") == load_checkpoint(other).id)
        assert mapper.value("device") == "cpu"
        assert mapper.set(model__device="cuda:99") == ""
        assert view(mapper, frames[0].camera).error_text == "", "nothing changes before the node is configured"
        mapper.transition(Transition.TRANSITION_DEACTIVATE)
        mapper.transition(Transition.TRANSITION_CLEANUP)
        assert not mapper.configure()
        assert mapper.state == UNCONFIGURED
        assert mapper.said("model.device is 'cuda:99'")
    finally:
        assert mapper.set(model__path=str(model_file), model__device="auto") == ""
    mapper.start_over()


@pytest.mark.shows("model.engine", "model.precision")
def test_the_engine_and_its_precision_are_those_configured(
    mapper: MapperProcess, oracle: Oracle, camera: Camera
) -> None:
    log = mapper.hear(Log, "/rosout", 100)
    confidences = {}
    for engine, precision in (("auto", "float32"), ("plain", "float32"), ("plain", "bfloat16")):
        assert mapper.set(model__engine=engine, model__precision=precision) == ""
        result = view(mapper, camera, **EVERYTHING)
        assert_is(result, oracle.render(result.keyframe_ids, camera, engine=engine, precision=precision))
        confidences[engine, precision] = pixels(result.confidence, np.float32)
    exact, rough = confidences["plain", "float32"], confidences["plain", "bfloat16"]
    np.testing.assert_allclose(exact, confidences["auto", "float32"], atol=1e-3)
    assert 1e-6 < np.abs(exact - rough).max() < 0.1
    # Said when it changes, in words.
    assert mapper.listener.until(lambda: any("from now on rendered by" in entry.msg for entry in log))
