"""The worker out of memory, asked for what no machine has, or with a bug: told to who asked, and the next works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from geometry_msgs.msg import PoseStamped
from rig.mapper import MapperProcess, broken_mapper, checkpoint
from sensor_msgs.msg import CameraInfo

from sray.frames import Frame
from sray_interfaces.action import RenderView
from sray_interfaces.srv import LoadModel
from sray_ros.common.error_codes import ErrorCode

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {"keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast"}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it says, breaks."""
    return tmp_path_factory.mktemp("broken") / "part"


@pytest.fixture(scope="module")
def process(model_file: Path, broken: Path, data_dir: Path) -> Iterator[MapperProcess]:
    with broken_mapper(model_file, {**SETTINGS, "data_dir": data_dir}, SRAY_TEST_BREAK=broken) as mapper:
        yield mapper


def at_the_origin(**fields: Any) -> RenderView.Goal:
    goal = RenderView.Goal(viewpoint=PoseStamped(), **fields)
    goal.viewpoint.header.frame_id = "map"
    return goal


def code_of(mapper: MapperProcess, goal: RenderView.Goal) -> tuple[ErrorCode, str]:
    result = mapper.answer(mapper.ask(goal)).result
    return ErrorCode(result.error_code), result.error_text


@pytest.mark.fault("no memory to encode a keyframe", code="OUT_OF_MEMORY",
                   says="log and diagnostics, with what to lower", recovery="the next image that fits")  # fmt: skip
def test_an_image_that_does_not_fit_is_lost_and_the_next_one_enters(
    mapper: MapperProcess, frames: list[Frame], broken: Path
) -> None:
    del mapper.rosout[:], mapper.handled[:]
    broken.write_text("encode: torch's memory")
    mapper.send_in_lockstep(frames[:1], 50.0)
    broken.unlink()
    assert mapper.says("OUT_OF_MEMORY: there was not enough memory to encode a keyframe"), mapper.lines
    assert mapper.said("Try fewer keyframes.capacity or smaller images")
    assert mapper.keyframes() == []
    assert mapper.renders(frames[:3], 60.0)


@pytest.mark.fault("no memory to render a view", code="OUT_OF_MEMORY",
                   says="the goal's result, log and diagnostics, with what to lower",
                   recovery="the next view that fits; keyframes stay")  # fmt: skip
@pytest.mark.parametrize("way", ["torch's memory", "python's memory"])
def test_a_view_that_does_not_fit_is_refused_and_the_next_one_rendered(
    mapper: MapperProcess, frames: list[Frame], broken: Path, way: str
) -> None:
    mapper.send_in_lockstep(frames[:3], 60.0)
    del mapper.rosout[:]
    broken.write_text(f"render: {way}")
    code, text = code_of(mapper, at_the_origin())
    mapper.send_in_lockstep(frames[3:4], 63.0)  # rendered because it came: nobody to answer
    broken.unlink()
    assert code is ErrorCode.OUT_OF_MEMORY
    assert "not enough memory to render" in text
    assert "Try smaller render.width and render.height or fewer views.count" in text
    assert mapper.says("OUT_OF_MEMORY: there was not enough memory to render"), mapper.lines
    assert len(mapper.keyframes()) == 4
    assert mapper.renders(frames[4:], 64.0)


@pytest.mark.fault("no memory for another model's features", code="OUT_OF_MEMORY",
                   says="the service's answer", recovery="the old model goes on")  # fmt: skip
def test_a_model_that_does_not_fit_leaves_the_old_one(
    mapper: MapperProcess, frames: list[Frame], broken: Path, data_dir: Path
) -> None:
    mapper.send_in_lockstep(frames[:3], 60.0)
    checkpoint(data_dir / "other.safetensors", seed=1)
    broken.write_text("encode: torch's memory")
    refused = mapper.service(LoadModel, "load_model", LoadModel.Request(file="other"))
    broken.unlink()
    assert ErrorCode(refused.error_code) is ErrorCode.OUT_OF_MEMORY, refused.error_text
    assert mapper.renders(frames[3:], 63.0)
    assert len(mapper.keyframes()) == 5


@pytest.mark.fault("a bug in the worker", code="INTERNAL", recovery="the next request",
                   says="the goal's result; log, with the traceback; diagnostics")  # fmt: skip
@pytest.mark.parametrize("part", ["render", "encode"])
def test_a_bug_is_told_with_its_traceback_and_the_worker_lives_on(
    mapper: MapperProcess, frames: list[Frame], broken: Path, part: str
) -> None:
    mapper.send_in_lockstep(frames[:3], 60.0)
    del mapper.rosout[:]
    broken.write_text(f"{part}: bug")
    if part == "render":
        code, text = code_of(mapper, at_the_origin())
        assert code is ErrorCode.INTERNAL
        assert "KeyError('a key that nobody set')" in text
    else:
        mapper.send_in_lockstep(frames[3:4], 63.0)
    broken.unlink()
    assert mapper.says("INTERNAL: KeyError('a key that nobody set'). Please report it with the log"), mapper.lines
    assert mapper.logged("a bug, please report it:\nTraceback (most recent call last):")
    assert mapper.renders(frames[4:], 64.0)


def camera(width: int, height: int) -> CameraInfo:
    info = CameraInfo(width=width, height=height)
    info.k = [width / 1.2, 0.0, width / 2, 0.0, width / 1.2, height / 2, 0.0, 0.0, 1.0]
    return info


@pytest.mark.fault("a view larger than 8192 columns or rows is asked for", code="BAD_CAMERA_INFO",
                   says="the goal's result", recovery="the next goal")  # fmt: skip
@pytest.mark.parametrize("size", [(8193, 36), (48, 1_000_000), (4_000_000_000, 4_000_000_000)], ids=str)
def test_an_absurd_size_is_refused_by_its_figures(
    mapper: MapperProcess, frames: list[Frame], size: tuple[int, int]
) -> None:
    mapper.send_in_lockstep(frames[:3], 60.0)
    code, text = code_of(mapper, at_the_origin(camera_info=camera(*size)))
    assert code is ErrorCode.BAD_CAMERA_INFO
    assert f"size {size[0]}x{size[1]}; expected at most 8192" in text
    assert mapper.renders(frames[3:], 63.0)


@pytest.mark.fault("a goal whose camera cannot be", code="BAD_CAMERA_INFO",
                   says="the goal's result, log and diagnostics", recovery="the next goal")  # fmt: skip
@pytest.mark.fault("a goal whose scale is not within 0 to 1", code="BAD_REQUEST",
                   says="the goal's result, log and diagnostics", recovery="the next goal")  # fmt: skip
@pytest.mark.parametrize(
    ("fields", "expected", "words"),
    [
        ({"camera_info": CameraInfo(width=48, height=36)}, ErrorCode.BAD_CAMERA_INFO, "K[0] = 0"),
        ({"camera_info": CameraInfo(width=48, height=0)}, ErrorCode.BAD_CAMERA_INFO, "size 48x0"),
        ({"scale": 1.5}, ErrorCode.BAD_REQUEST, "scale is 1.5"),
        ({"scale": -1.0}, ErrorCode.BAD_REQUEST, "scale is -1"),
        ({"scale": float("nan")}, ErrorCode.BAD_REQUEST, "scale is nan"),
    ],
    ids=["K zero", "no rows", "too large", "negative", "nan"],
)
def test_a_goal_that_cannot_be_is_refused(
    mapper: MapperProcess, frames: list[Frame], fields: dict[str, Any], expected: ErrorCode, words: str
) -> None:
    mapper.send_in_lockstep(frames[:3], 60.0)
    code, text = code_of(mapper, at_the_origin(**fields))
    assert code is expected
    assert words in text
    assert mapper.said(f"{expected.name}: {text}"[:60])
    assert mapper.renders(frames[3:], 63.0)


@pytest.mark.fault("a view from where no keyframe looks", code="TOO_FEW_VIEWS",
                   says="the goal's result and diagnostics",
                   recovery="the next goal, or a camera that looks there")  # fmt: skip
@pytest.mark.fault("a view before any image came", code="NO_KEYFRAMES", says="the goal's result and diagnostics",
                   recovery="once keyframes are there")  # fmt: skip
def test_a_view_that_nothing_can_be_a_source_for_is_refused(mapper: MapperProcess, frames: list[Frame]) -> None:
    goal = at_the_origin()
    code, _ = code_of(mapper, goal)
    assert code is ErrorCode.NO_KEYFRAMES
    assert mapper.said("NO_KEYFRAMES: ")
    mapper.send_in_lockstep(frames[:3], 60.0)
    goal.viewpoint.pose.orientation.w, goal.viewpoint.pose.orientation.y = 0.0, 1.0  # turned around
    code, text = code_of(mapper, goal)
    assert code is ErrorCode.TOO_FEW_VIEWS
    assert "0 of 3 keyframes can serve" in text
    assert mapper.said("TOO_FEW_VIEWS: ")
    assert mapper.renders(frames[3:], 63.0)
