"""Which images become keyframes, and which leave: each parameter of the buffer, by what the node then holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import PlaneScene
from rclpy.qos import QoSProfile
from rig.mapper import OPTICAL_FRAME, MapperProcess, checkpoint, seconds_of
from rig.views import SETTINGS as EXACT
from rig.views import as_started, keyframes, pixels, stamps
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from sray.frames import Frame
from sray.mapping.session import Session
from sray_interfaces.srv import LoadModel, SaveSession

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {**EXACT, "trigger": "request"}


@pytest.fixture(autouse=True)
def others_as_started(process: MapperProcess) -> Iterator[None]:
    yield
    assert process.set(**as_started(SETTINGS)) == ""


@pytest.mark.shows("keyframes.capacity")
def test_there_are_never_more_keyframes_than_asked_for(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.set(keyframes__capacity=3) == ""
    for index, frame in enumerate(frames):
        mapper.send_in_lockstep([frame], 100.0 + index)
        held = stamps(mapper)
        assert len(held) == min(index + 1, 3)
        assert held[-1] == 100.0 + index, "the newest is held, always"
    assert mapper.set(keyframes__capacity=4) == ""
    mapper.send_in_lockstep(frames[:1], 110.0)
    assert len(stamps(mapper)) in (3, 4)


@pytest.mark.shows("keyframes.min_translation")
def test_a_frame_enters_when_the_camera_has_moved_far_enough(mapper: MapperProcess, plane_scene: PlaneScene) -> None:
    walk = [plane_scene.frame((x, 0.0, 0.0)) for x in (0.0, 0.15, 0.25, 0.3, 0.5)]
    for meters, entered in ((0.2, [0, 2, 4]), (0.4, [0, 4]), (0.0, [0, 1, 2, 3, 4])):
        assert mapper.set(keyframes__min_translation=meters, keyframes__min_rotation=90.0) == ""
        mapper.start_over()
        mapper.send_in_lockstep(walk)
        assert stamps(mapper) == [100.0 + index for index in entered], f"min_translation {meters}"


@pytest.mark.shows("~/keyframe/image")
def test_the_picture_of_each_keyframe_is_published_as_it_came(mapper: MapperProcess, plane_scene: PlaneScene) -> None:
    heard = mapper.hear(Image, "/semantic_mapper/keyframe/image", QoSProfile(depth=10))
    assert mapper.set(keyframes__min_translation=0.2, keyframes__min_rotation=90.0) == ""
    walk = [plane_scene.frame((x, 0.0, 0.0)) for x in (0.0, 0.1, 0.25)]
    mapper.send_in_lockstep(walk)
    assert mapper.listener.until(lambda: len(heard) == 2)
    assert [seconds_of(image.header.stamp) for image in heard] == [100.0, 102.0] == stamps(mapper)
    assert {image.header.frame_id for image in heard} == {OPTICAL_FRAME}
    for image, frame in zip(heard, (walk[0], walk[2]), strict=True):
        np.testing.assert_array_equal(pixels(image), frame.image.numpy())


@pytest.mark.shows("keyframes.min_rotation")
def test_a_frame_enters_when_the_camera_has_turned_far_enough(mapper: MapperProcess, plane_scene: PlaneScene) -> None:
    turn = [plane_scene.frame((0.0, 0.0, 0.0), yaw_degrees=yaw) for yaw in (0.0, 3.0, 6.0, 12.0, 0.0)]
    for degrees, entered in ((5.0, [0, 2, 3]), (10.0, [0, 3]), (0.0, [0, 1, 2, 3, 4])):
        assert mapper.set(keyframes__min_translation=10.0, keyframes__min_rotation=degrees) == ""
        mapper.start_over()
        mapper.send_in_lockstep(turn)
        assert stamps(mapper) == [100.0 + index for index in entered], f"min_rotation {degrees}"


@pytest.mark.shows("keyframes.min_sharpness")
def test_a_blurred_frame_does_not_enter(mapper: MapperProcess, frames: list[Frame]) -> None:
    soft = cv2.GaussianBlur(frames[1].image.numpy(), (0, 0), 3)
    blurred = replace(frames[1], image=torch.from_numpy(soft))
    sharp, low = (laplacian_variance(picture) for picture in (frames[0].image.numpy(), soft))
    assert low < 0.5 * sharp
    assert mapper.set(keyframes__min_sharpness=float(np.sqrt(low * sharp))) == ""
    mapper.send_in_lockstep([frames[0], blurred])
    assert stamps(mapper) == [100.0]
    assert mapper.set(keyframes__min_sharpness=0.9 * low) == ""
    mapper.send_in_lockstep([blurred], 110.0)
    assert stamps(mapper) == [100.0, 110.0]


def laplacian_variance(picture: np.ndarray) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


@pytest.mark.shows("keyframes.max_age")
def test_what_is_too_old_leaves(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.set(keyframes__max_age=2.5) == ""
    mapper.send_in_lockstep(frames)
    assert stamps(mapper) == [102.0, 103.0, 104.0]
    assert mapper.set(keyframes__max_age=0.0) == ""
    mapper.send_in_lockstep(frames[:1], 104.5)  # too close to nothing: that place's keyframe has left
    assert stamps(mapper) == [102.0, 103.0, 104.0, 104.5]


@pytest.mark.shows("model.memory_budget")
def test_keyframes_take_no_more_memory_than_they_may(mapper: MapperProcess) -> None:
    frames = [frame.resized(320, 240) for frame in PlaneScene().ring(5)]
    mapper.send_in_lockstep(frames)
    assert mapper.said("")  # diagnostics of now
    assert len(stamps(mapper)) == 5
    all_five = float(mapper.value("keyframes MiB") or 0)
    budget = int(0.7 * all_five)
    assert budget >= 1, "the test's pictures are large enough to tell"
    assert mapper.set(model__memory_budget=budget) == ""
    mapper.send_in_lockstep([replace(frames[0], camera=PlaneScene().camera((1.0, 0, 0)).resized(320, 240))], 110.0)
    held = stamps(mapper)
    assert len(held) == budget // (all_five / 5)
    assert held[-1] == 110.0
    assert mapper.said("")
    assert mapper.listener.until(lambda: mapper.value("keyframes") == str(len(held)))
    assert float(mapper.value("keyframes MiB") or 0) <= budget


@pytest.mark.shows("depth", "depth.use", "depth.max")
def test_depth_is_kept_with_its_keyframe_as_far_as_it_is_believed(
    mapper: MapperProcess, plane_scene: PlaneScene, data_dir: Path
) -> None:
    frames = [plane_scene.frame((0.2 * i, 0.0, 0.0), yaw_degrees=20) for i in range(4)]

    def kept_depths(**parameters: Any) -> list[Any]:
        assert mapper.set(**parameters) == ""
        mapper.start_over()
        mapper.send_in_lockstep(frames)
        mapper.service(SaveSession, "save_session", SaveSession.Request(file="depths"))
        return [frame.depth for _, frame in Session.load(data_dir / "depths.safetensors").keyframes]

    assert kept_depths(depth__use=False) == [None] * 4
    assert not any(keyframe.has_depth for keyframe in keyframes(mapper).keyframes)
    # The first picture may be there before its depth; from then on depth is waited for.
    for farthest, believed in ((10.0, lambda depth: depth < 10), (2.0, lambda depth: depth <= 2.0)):
        depths = kept_depths(depth__use=True, depth__max=farthest)[1:]
        for found, frame in zip(depths, frames[1:], strict=True):
            assert frame.depth is not None
            expected = torch.where(believed(frame.depth), frame.depth, torch.nan)
            np.testing.assert_array_equal(found.numpy(), expected.numpy())
        assert all(bool(torch.isnan(found).any()) == (farthest == 2.0) for found in depths)
    assert [keyframe.has_depth for keyframe in keyframes(mapper).keyframes][1:] == [True] * 3


@pytest.mark.shows("depth.stereo")
def test_stereo_can_be_left_out(mapper: MapperProcess, data_dir: Path) -> None:
    """Keyframes hold what stereo found: without it they are smaller."""
    frames = [frame.resized(320, 240) for frame in PlaneScene().ring(3)]

    def held() -> float:
        assert mapper.service(Trigger, "clear", Trigger.Request()).success
        mapper.send_in_lockstep(frames)
        assert mapper.said("")
        return float(mapper.value("keyframes MiB") or 0)

    without = held()
    checkpoint(data_dir / "stereo.safetensors", stereo=True)
    answer = mapper.service(LoadModel, "load_model", LoadModel.Request(file="stereo"))
    assert not answer.error_text
    assert held() > without
    assert mapper.set(depth__stereo=False) == ""
    assert held() == without
    assert mapper.set(depth__stereo=True) == ""
    assert not mapper.service(LoadModel, "load_model", LoadModel.Request(file="")).error_text
