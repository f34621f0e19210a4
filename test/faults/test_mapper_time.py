"""Time that goes back: a clock, a bag that starts again. What was waiting is dropped, keyframes stay, work goes on."""

from __future__ import annotations

from typing import Any

import pytest
from rig.mapper import MapperProcess, time_of, transform_of
from rosgraph_msgs.msg import Clock

from sray.frames import Frame

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {"keyframes.min_sharpness": 0.0, "render.min_opacity": 0.0, "render.quality": "fast"}


@pytest.mark.fault("simulated time jumps back", code="STALE", says="log and diagnostics",
                   recovery="by itself; keyframes stay")  # fmt: skip
def test_a_clock_that_jumps_back_drops_what_waits_and_keeps_keyframes(
    mapper: MapperProcess, frames: list[Frame]
) -> None:
    node = mapper.listener.node
    publisher = node.create_publisher(Clock, "/clock", 1)
    assert mapper.set(use_sim_time=True) == ""
    try:
        assert mapper.listener.until(publisher.get_subscription_count)

        def tick(second: float) -> None:
            publisher.publish(Clock(clock=time_of(second)))
            del mapper.diagnostics[:]
            assert mapper.listener.until(lambda: any(d.header.stamp == time_of(second) for d in mapper.diagnostics))

        tick(500.0)
        mapper.send_in_lockstep(frames[:3], 498.0)
        assert mapper.set(tf__timeout=20.0) == ""
        del mapper.rosout[:], mapper.handled[:]
        mapper.send(frames[3], 501.0, with_pose=False)  # waits for a pose that will never come
        mapper.listener.until(lambda: False, 0.3)
        tick(100.0)
        mapper.wait_handled(501.0)
        assert mapper.logged("the clock jumped back by 400.000 s; clearing pending work and TF"), mapper.lines
        assert mapper.says("STALE: time jumped back while the pose was waited for"), mapper.lines
        assert len(mapper.keyframes()) == 3
        assert mapper.set(tf__timeout=0.2) == ""
        mapper.send_in_lockstep(frames[3:4], 101.0)
        assert mapper.renders(frames[4:], 102.0)
        assert len(mapper.keyframes()) >= 4
    finally:
        assert mapper.set(use_sim_time=False, tf__timeout=0.2) == ""
        node.destroy_publisher(publisher)


@pytest.mark.fault("a bag loops: stamps jump back by minutes", code="none", says="log: the topic, and by how much",
                   recovery="by itself; keyframes stay")  # fmt: skip
def test_a_bag_that_starts_again_goes_on_with_the_same_keyframes(mapper: MapperProcess, frames: list[Frame]) -> None:
    for lap in range(3):
        del mapper.rosout[:]
        if lap:
            # The first image tells of the jump, and TF of before it is forgotten: its own pose comes again, as in
            # a bag, where transforms come more often than images.
            del mapper.handled[:]
            mapper.send(frames[0], 1000.0)
            assert mapper.logged("jumped back by 300.0 s; clearing pending work"), mapper.lines
            mapper.tell_tf(transform_of(frames[0], 1000.0))
            mapper.wait_handled(1000.0)
        assert mapper.renders(frames, 1001.0)
        mapper.send_in_lockstep(frames[:1], 1300.0)
        assert [round(keyframe.stamp.sec) for keyframe in mapper.keyframes()] == [1001, 1002, 1003, 1004, 1005]
