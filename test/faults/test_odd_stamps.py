"""Odd stamps of one frame, or one picture: whoever sent them is named, and nobody else loses anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from geometry_msgs.msg import TransformStamped
from rig.mapper import MapperProcess, time_of, transform_of

from sray.frames import Frame

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {
    "keyframes.min_sharpness": 0.0,
    "keyframes.min_translation": 0.0,
    "render.min_opacity": 0.0,
    "render.quality": "fast",
    "trigger": "request",
    "tf.timeout": 0.5,
}


def foreign(second: float) -> TransformStamped:
    transform = TransformStamped(child_frame_id="gripper")
    transform.header.frame_id, transform.header.stamp = "map", time_of(second)
    transform.transform.rotation.w = 1.0
    return transform


@pytest.mark.fault(
    "one frame of TF that no pose depends on has stamp 0, or an old one", code="none",
    says="log, once: the frame and its stamp", recovery="it is left to tf2; no picture is lost",
)  # fmt: skip
@pytest.mark.parametrize("odd", [0.0, 60.0], ids=["stamp 0", "old"])
def test_a_foreign_frames_odd_stamp_costs_no_picture(mapper: MapperProcess, frames: list[Frame], odd: float) -> None:
    begin = 200.0 + odd  # a clock of its own for each: TF remembers
    del mapper.rosout[:]
    mapper.tell_tf(*(transform_of(frame, begin + index) for index, frame in enumerate(frames)))
    mapper.tell_tf(foreign(begin), foreign(begin + 1))
    mapper.listener.until(lambda: False, 0.3)
    mapper.tell_tf(foreign(odd))
    # Their poses came before the odd stamp: had it cleared TF, none of them would be known.
    for index, frame in enumerate(frames):
        mapper.send(frame, begin + index, with_pose=False)
        mapper.wait_handled(begin + index)
    assert len(mapper.keyframes()) == len(frames), mapper.lines
    assert "clearing TF" not in mapper.lines and "NO_POSE" not in mapper.lines


@pytest.mark.fault(
    "a picture has stamp 0", code="NO_POSE", says="log and diagnostics", recovery="the next picture; nothing is cleared"
)  # fmt: skip
def test_a_picture_without_a_stamp_costs_itself_alone(mapper: MapperProcess, frames: list[Frame]) -> None:
    del mapper.rosout[:]
    mapper.send_in_lockstep(frames[:2], 500.0)
    mapper.tell_tf(*(transform_of(frame, 510.0 + index) for index, frame in enumerate(frames[2:])))
    mapper.listener.until(lambda: False, 0.3)
    mapper.send(replace(frames[0]), 0.0, with_pose=False)
    mapper.wait_handled(0.0)
    assert mapper.logged("the header has stamp 0; expected the time of the exposure"), mapper.lines
    for index, frame in enumerate(frames[2:]):
        mapper.send(frame, 510.0 + index, with_pose=False)
        mapper.wait_handled(510.0 + index)
    assert len(mapper.keyframes()) == len(frames), mapper.lines
    assert "jumped back" not in mapper.lines


@pytest.mark.fault(
    "TF was forgotten, as a frame that poses depend on went back, and a pose is missing soon afterwards",
    code="NO_POSE", says="log and diagnostics: which frame, by how much, how long ago",
    recovery="as soon as TF goes on",
)  # fmt: skip
def test_a_pose_that_is_missing_after_tf_went_back_is_put_down_to_it(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    mapper.send_in_lockstep(frames[:2], 900.0)
    del mapper.rosout[:]
    for second in (700.0, 700.1):
        mapper.tell_tf(transform_of(frames[2], second))
    assert mapper.logged("frame camera_optical_frame went back by 200.9 s in TF; clearing TF"), mapper.lines
    mapper.send(frames[3], 902.0, with_pose=False)
    assert mapper.says("(frame camera_optical_frame went back by 200.9 s in TF) and is still being heard"), mapper.lines
    assert mapper.renders(frames, 710.0)
