"""What the nodes rely on of tf2_ros where it has no answer: errors, old transforms, jumps back in time."""

from __future__ import annotations

import math

import pytest
import tf2_ros
from rclpy.parameter import Parameter
from rig.transforms import LATEST, assert_translation, at, buffer_with, edge
from rosgraph_msgs.msg import Clock
from tf2_ros import Buffer


def test_the_errors_are_all_transform_exceptions():
    for name in ("Lookup", "Connectivity", "Extrapolation", "InvalidArgument"):
        assert issubclass(getattr(tf2_ros, f"{name}Exception"), tf2_ros.TransformException)


def test_times_outside_the_history_are_refused():
    buffer = buffer_with(edge("map", "base", 1.0), edge("map", "base", 2.0))
    with pytest.raises(tf2_ros.ExtrapolationException, match="into the future"):
        buffer.lookup_transform("map", "base", at(2.001))
    with pytest.raises(tf2_ros.ExtrapolationException, match="into the past"):
        buffer.lookup_transform("map", "base", at(0.999))
    assert not buffer.can_transform("map", "base", at(2.001))
    assert buffer.can_transform("map", "base", at(2.0))


def test_one_message_is_known_at_its_own_stamp_only():
    buffer = buffer_with(edge("map", "base", 1.0, (1.0, 0.0, 0.0)))
    assert_translation(buffer.lookup_transform("map", "base", at(1.0)), (1.0, 0.0, 0.0))
    for stamp in (0.5, 1.5):
        with pytest.raises(tf2_ros.ExtrapolationException):
            buffer.lookup_transform("map", "base", at(stamp))


def test_a_gap_anywhere_in_the_chain_is_an_extrapolation():
    buffer = buffer_with(
        edge("map", "odom", 1.0), edge("map", "odom", 2.0), edge("odom", "base", 1.0), edge("odom", "base", 4.0)
    )
    for target, source in (("map", "base"), ("base", "map")):
        with pytest.raises(tf2_ros.ExtrapolationException):
            buffer.lookup_transform(target, source, at(3.0))


def test_two_trees_are_not_connected():
    buffer = buffer_with(static=[edge("map", "base", 0.0), edge("world", "robot", 0.0)])
    for when in (LATEST, at(1.0)):
        with pytest.raises(tf2_ros.ConnectivityException):
            buffer.lookup_transform("map", "robot", when)
        assert not buffer.can_transform("map", "robot", when)


def test_a_frame_nobody_sent_is_named_in_the_error():
    buffer = buffer_with(edge("map", "base", 1.0))
    with pytest.raises(tf2_ros.LookupException, match="camera"):
        buffer.lookup_transform("map", "camera", at(1.0))
    with pytest.raises(tf2_ros.LookupException, match="world"):
        buffer.lookup_transform("world", "base", LATEST)
    assert not buffer.can_transform("map", "camera", at(1.0))


def test_leading_slashes_are_taken_off_messages_and_refused_in_look_ups():
    buffer = buffer_with(edge("/map", "/base", 1.0, (1.0, 0.0, 0.0)))
    assert_translation(buffer.lookup_transform("map", "base", at(1.0)), (1.0, 0.0, 0.0))
    with pytest.raises(tf2_ros.InvalidArgumentException):
        buffer.lookup_transform("/map", "base", at(1.0))
    with pytest.raises(tf2_ros.InvalidArgumentException):
        buffer.lookup_transform("map", "", at(1.0))
    assert not buffer.can_transform("/map", "base", at(1.0))


@pytest.mark.parametrize(
    "nonsense",
    [
        edge("map", "base", 1.0, (math.nan, 0.0, 0.0)),
        edge("map", "base", 1.0, rotation=(0.0, 0.0, 0.0, 0.0)),
        edge("base", "base", 1.0),
        edge("map", "", 1.0),
        edge("", "base", 1.0),
    ],
    ids=["nan", "no rotation", "own parent", "no child", "no parent"],
)
def test_nonsense_is_left_out(nonsense):
    buffer = buffer_with(nonsense)
    assert not buffer.can_transform("map", "base", at(1.0))
    with pytest.raises(tf2_ros.LookupException):
        buffer.lookup_transform("map", "base", at(1.0))
    buffer.set_transform(edge("map", "base", 0.5), "test")
    assert buffer.lookup_transform("map", "base", LATEST).header.stamp == at(0.5).to_msg()


def test_ten_seconds_are_kept():
    buffer = buffer_with(*[edge("map", "base", float(stamp)) for stamp in range(1, 24)])
    assert buffer.can_transform("map", "base", at(14.0))
    with pytest.raises(tf2_ros.ExtrapolationException, match="into the past"):
        buffer.lookup_transform("map", "base", at(11.0))


def test_after_a_jump_back_old_stamps_are_ignored_until_the_buffer_is_cleared():
    before = [edge("map", "base", 100.0, (9.0, 0.0, 0.0)), edge("map", "base", 101.0, (9.0, 0.0, 0.0))]
    after = [edge("map", "base", 5.0, (1.0, 0.0, 0.0)), edge("map", "base", 6.0, (2.0, 0.0, 0.0))]
    buffer = buffer_with(*before, *after)
    assert not buffer.can_transform("map", "base", at(5.5))

    buffer.clear()
    assert not buffer.can_transform("map", "base", at(100.5))
    with pytest.raises(tf2_ros.TransformException):
        buffer.lookup_transform("map", "base", LATEST)
    for message in after:
        buffer.set_transform(message, "test")
    assert_translation(buffer.lookup_transform("map", "base", at(5.5)), (1.5, 0.0, 0.0))
    assert_translation(buffer.lookup_transform("map", "base", LATEST), (2.0, 0.0, 0.0))


def test_static_transforms_survive_clear():
    buffer = buffer_with(edge("map", "base", 1.0), static=[edge("base", "camera", 0.0, (0.0, 0.0, 1.0))])
    buffer.clear()
    assert_translation(buffer.lookup_transform("base", "camera", at(1.0)), (0.0, 0.0, 1.0))


def test_a_buffer_with_a_node_clears_itself_when_its_clock_jumps_back(ros):
    node = ros.node("jumper", parameter_overrides=[Parameter("use_sim_time", value=True)])
    clock = ros.node("clock").create_publisher(Clock, "/clock", 10)

    def set_clock(seconds: float) -> None:
        ros.spin_until(
            lambda: node.get_clock().now().nanoseconds == at(seconds).nanoseconds,
            then=lambda: clock.publish(Clock(clock=at(seconds).to_msg())),
        )

    set_clock(100.0)
    buffer = Buffer(node=node)
    buffer.set_transform(edge("map", "base", 100.0), "test")
    set_clock(101.0)
    assert buffer.can_transform("map", "base", at(100.0))
    set_clock(5.0)
    assert not buffer.can_transform("map", "base", at(100.0))
