"""What is told to a running node applies: pause and clear, parameters, the trigger, depth, the transport, time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray
from rig.mapper import MapperProcess, seconds_of
from rig.views import LATCHED, goal_for, pixels
from rig.views import SETTINGS as EXACT
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import LabelInfo

from sray.frames import Frame

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = EXACT


@pytest.mark.shows("~/pause", "~/clear")
def test_pausing_ignores_images_and_clearing_forgets_keyframes(mapper: MapperProcess, frames: list[Frame]) -> None:
    keyframes = mapper.hear(PoseArray, "/semantic_mapper/keyframes", LATCHED)
    mapper.send_in_lockstep(frames[:3])
    assert mapper.listener.until(lambda: keyframes and len(keyframes[-1].poses) == 3)
    assert mapper.service(SetBool, "pause", SetBool.Request(data=True)).success
    mapper.send_in_lockstep(frames[3:], first_second=110.0)
    assert len(keyframes[-1].poses) == 3
    assert mapper.service(Trigger, "clear", Trigger.Request()).success
    assert mapper.listener.until(lambda: len(keyframes[-1].poses) == 0)
    assert mapper.service(SetBool, "pause", SetBool.Request(data=False)).success
    mapper.send_in_lockstep(frames[3:], first_second=120.0)
    assert mapper.listener.until(lambda: len(keyframes[-1].poses) == 2)


@pytest.mark.shows("render.min_confidence", "render.width", "~/label/info")
def test_nonsense_in_parameters_is_refused_by_name_and_a_good_value_applies(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    assert "trigger is 'sometimes'; expected one of keyframe, timer, request" in mapper.set(trigger="sometimes")
    assert "views.count" in mapper.set(views__count=99)
    assert "near" in mapper.set(near=3.0, far=2.0)
    assert "render.min_opacity" in mapper.set(render__min_opacity=float("nan"))
    mapper.send_in_lockstep(frames[:3])
    infos = mapper.hear(LabelInfo, "/semantic_mapper/label/info", LATCHED)
    assert mapper.listener.until(lambda: infos)
    for threshold in (0.25, 0.0):
        assert mapper.set(render__min_confidence=threshold) == ""
        assert mapper.listener.until(lambda threshold=threshold: infos[-1].threshold == threshold)
    for width, expected in ((24, (24, 18)), (0, (48, 36))):
        assert mapper.set(render__width=width) == ""
        result = mapper.answer(mapper.ask(goal_for(frames[0].camera))).result
        assert (result.error_text, result.label.width, result.label.height) == ("", *expected)


@pytest.mark.shows("trigger")
def test_the_trigger_decides_what_is_rendered(mapper: MapperProcess, frames: list[Frame]) -> None:
    labels = mapper.hear(Image, "/semantic_mapper/label/image", 10)
    try:
        for trigger, expected in (("timer", [102.0, 103.0, 104.0]), ("keyframe", [102.0]), ("request", [])):
            assert mapper.set(trigger=trigger) == ""
            mapper.start_over()
            del labels[:]
            mapper.send_in_lockstep([*frames[:3], frames[1], frames[1]])  # the last two are no keyframes
            assert mapper.listener.until(lambda expected=expected: len(labels) >= len(expected))
            assert [seconds_of(label.header.stamp) for label in labels] == expected
    finally:
        assert mapper.set(trigger="keyframe") == ""


@pytest.mark.shows("depth", "depth.use")
def test_depth_guides_the_rays_where_it_is_published(mapper: MapperProcess, frames: list[Frame]) -> None:
    assert mapper.set(near=0.0, far=0.0) == ""
    try:
        depths = {}
        for use in (True, False):
            assert mapper.set(depth__use=use) == ""
            mapper.start_over()
            assert mapper.listener.until(lambda use=use: bool(mapper._depth.get_subscription_count()) == use)
            mapper.send_in_lockstep(frames)
            result = mapper.answer(mapper.ask(goal_for(frames[0].camera, want_depth=True))).result
            assert result.error_text == ""
            depth = pixels(result.depth, np.float32)
            depths[use] = depth[np.isfinite(depth)]
        # The wall is 1.9 to 2.1 m away and the margin 20 %. Left alone, random weights place it elsewhere.
        assert 1.4 < depths[True].min() <= depths[True].max() < 2.7
        assert abs(np.median(depths[True]) - 2.0) < 0.1, "samples go around what was measured"
        assert depths[False].max() < 1.4 or depths[False].min() > 2.7
    finally:
        assert mapper.set(near=0.5, far=4.0, depth__use=False) == ""


@pytest.mark.shows("image_transport", "image/compressed")
def test_a_compressed_image_gives_the_same_answer_as_the_raw_one(mapper: MapperProcess, frames: list[Frame]) -> None:
    answers = []
    try:
        for transport in ("raw", "compressed"):
            assert mapper.set(image_transport=transport) == ""
            mapper.start_over()
            mapper.send_in_lockstep(frames)
            answers.append(mapper.answer(mapper.ask(goal_for(frames[0].camera, want_color=True))).result)
        assert mapper._compressed.get_subscription_count() == 1
    finally:
        assert mapper.set(image_transport="raw") == ""
    assert answers[0].error_text == answers[1].error_text == ""
    assert answers[0].label.data == answers[1].label.data
    assert answers[0].color.data == answers[1].color.data


def test_after_a_jump_back_in_time_the_same_stamps_work_again(mapper: MapperProcess, frames: list[Frame]) -> None:
    labels = mapper.hear(Image, "/semantic_mapper/label/image", 10)
    mapper.start_over()
    mapper.send_in_lockstep(frames[:3], first_second=300.0)
    del mapper.handled[:]
    mapper.send(frames[3], 250.0)  # tells of the jump; its own pose may have gone with the old ones
    mapper.wait_handled(250.0)
    mapper.send_in_lockstep(frames[4:], first_second=251.0)
    assert mapper.listener.until(lambda: any(seconds_of(label.header.stamp) == 251.0 for label in labels))
