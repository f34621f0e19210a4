"""What the nodes rely on of tf2_ros: values, errors, static transforms, jumps back in time, and the two topics."""

from __future__ import annotations

import math

import pytest
import tf2_ros
from geometry_msgs.msg import TransformStamped
from rclpy.parameter import Parameter
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from tf2_ros import Buffer, StaticTransformBroadcaster, TransformBroadcaster, TransformListener

LATEST = Time()
NO_TURN = (0.0, 0.0, 0.0, 1.0)
QUARTER_LEFT = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))  # 90 degrees about z: x turns into y


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


def edge(parent, child, seconds, xyz=(0.0, 0.0, 0.0), rotation=NO_TURN) -> TransformStamped:
    message = TransformStamped()
    message.header.frame_id = parent
    message.header.stamp = at(seconds).to_msg()
    message.child_frame_id = child
    translation = message.transform.translation
    translation.x, translation.y, translation.z = xyz
    turn = message.transform.rotation
    turn.x, turn.y, turn.z, turn.w = rotation
    return message


def buffer_with(*edges, static=()) -> Buffer:
    buffer = Buffer()
    for message in edges:
        buffer.set_transform(message, "test")
    for message in static:
        buffer.set_transform_static(message, "test")
    return buffer


def assert_translation(message: TransformStamped, expected: tuple) -> None:
    translation = message.transform.translation
    assert (translation.x, translation.y, translation.z) == pytest.approx(expected, abs=1e-9)


def assert_rotation(message: TransformStamped, expected: tuple) -> None:
    turn = message.transform.rotation
    cosine = sum(a * b for a, b in zip((turn.x, turn.y, turn.z, turn.w), expected, strict=True))
    assert abs(cosine) == pytest.approx(1.0, abs=1e-9), f"{turn} is not {expected}"  # q and -q are one rotation


# --- values


def test_the_translation_between_two_stamps_is_linear():
    buffer = buffer_with(edge("map", "base", 1.0, (0.0, 2.0, -4.0)), edge("map", "base", 2.0, (4.0, 2.0, 0.0)))
    found = buffer.lookup_transform("map", "base", at(1.25))
    assert_translation(found, (1.0, 2.0, -3.0))
    assert (found.header.frame_id, found.child_frame_id) == ("map", "base")
    assert found.header.stamp == at(1.25).to_msg()


def test_the_rotation_between_two_stamps_turns_at_constant_speed():
    buffer = buffer_with(edge("map", "base", 1.0), edge("map", "base", 2.0, rotation=QUARTER_LEFT))
    # a third of 90 degrees is 30 degrees: (sin 15, cos 15); normalized linear mixing would give 28.7 degrees
    third = buffer.lookup_transform("map", "base", Time(nanoseconds=1_333_333_333))
    half_angle = math.radians(45.0) * 0.333333333
    assert_rotation(third, (0.0, 0.0, math.sin(half_angle), math.cos(half_angle)))
    assert third.transform.rotation.w == pytest.approx(math.cos(math.radians(15.0)), abs=1e-6)


def yaw(degrees: float) -> tuple:
    return (0.0, 0.0, math.sin(math.radians(degrees) / 2), math.cos(math.radians(degrees) / 2))


def test_the_rotation_takes_the_shorter_way_round():
    buffer = buffer_with(
        edge("map", "base", 1.0, rotation=yaw(100.0)),
        edge("map", "base", 2.0, rotation=yaw(-100.0)),  # 160 degrees further on, not 200 back
        edge("map", "base", 3.0, rotation=tuple(-part for part in yaw(-100.0))),  # the same rotation
    )
    assert_rotation(buffer.lookup_transform("map", "base", at(1.5)), yaw(180.0))
    assert_rotation(buffer.lookup_transform("map", "base", at(1.25)), yaw(140.0))
    assert_rotation(buffer.lookup_transform("map", "base", at(2.5)), yaw(-100.0))


def test_stored_stamps_come_back_as_they_were():
    buffer = buffer_with(*[edge("map", "base", stamp, (stamp * stamp, 0.0, 0.0)) for stamp in (1.0, 2.0, 3.0)])
    for stamp in (1.0, 2.0, 3.0):
        assert_translation(buffer.lookup_transform("map", "base", at(stamp)), (stamp * stamp, 0.0, 0.0))


def test_late_messages_take_their_place_in_the_order_of_stamps():
    buffer = buffer_with(
        edge("map", "base", 1.0), edge("map", "base", 3.0, (6.0, 0.0, 0.0)), edge("map", "base", 2.0, (1.0, 0.0, 0.0))
    )
    assert_translation(buffer.lookup_transform("map", "base", at(1.5)), (0.5, 0.0, 0.0))
    assert_translation(buffer.lookup_transform("map", "base", at(2.5)), (3.5, 0.0, 0.0))


def test_the_inverse_look_up_undoes_the_look_up():
    buffer = buffer_with(edge("map", "base", 1.0, (1.0, 2.0, 3.0), QUARTER_LEFT))
    found = buffer.lookup_transform("base", "map", at(1.0))
    # R^T (-t): turning (-1, -2, -3) by -90 degrees about z gives (-2, 1, -3)
    assert_translation(found, (-2.0, 1.0, -3.0))
    assert_rotation(found, (0.0, 0.0, -math.sqrt(0.5), math.sqrt(0.5)))
    assert (found.header.frame_id, found.child_frame_id) == ("base", "map")


def test_a_chain_composes_from_the_camera_to_the_map():
    buffer = buffer_with(
        edge("map", "odom", 1.0, (10.0, 0.0, 0.0), QUARTER_LEFT),
        edge("odom", "base", 1.0, (2.0, 0.0, 0.0), QUARTER_LEFT),
        static=[edge("base", "camera", 0.0, (0.5, 0.0, 1.0))],
    )
    # camera in odom: (2, 0.5, 1); turned left and moved by 10: (9.5, 2, 1), facing backwards
    found = buffer.lookup_transform("map", "camera", at(1.0))
    assert_translation(found, (9.5, 2.0, 1.0))
    assert_rotation(found, (0.0, 0.0, 1.0, 0.0))
    # and back: R is half a turn, so -R^T t = (9.5, 2, -1)
    assert_translation(buffer.lookup_transform("camera", "map", at(1.0)), (9.5, 2.0, -1.0))


def test_siblings_meet_at_their_common_parent():
    buffer = buffer_with(
        edge("base", "left", 1.0, (0.0, 1.0, 0.0), QUARTER_LEFT), edge("base", "right", 1.0, (3.0, -1.0, 0.0))
    )
    # right seen from left: (3, -2, 0) turned by -90 degrees is (-2, -3, 0)
    assert_translation(buffer.lookup_transform("left", "right", at(1.0)), (-2.0, -3.0, 0.0))


def test_siblings_need_nothing_above_their_common_parent():
    buffer = buffer_with(
        edge("map", "base", 50.0), edge("base", "left", 1.0, (0.0, 1.0, 0.0)), edge("base", "right", 1.0)
    )
    assert_translation(buffer.lookup_transform("left", "right", at(1.0)), (0.0, -1.0, 0.0))


def test_time_0_is_the_latest_time_that_the_whole_chain_has():
    buffer = buffer_with(
        edge("map", "odom", 1.0),
        edge("map", "odom", 2.0, (2.0, 0.0, 0.0)),
        edge("odom", "base", 1.0),
        edge("odom", "base", 1.5, (0.0, 7.0, 0.0)),
        static=[edge("base", "camera", 0.0, (0.0, 0.0, 1.0))],
    )
    found = buffer.lookup_transform("map", "camera", LATEST)
    assert found.header.stamp == at(1.5).to_msg()
    assert_translation(found, (1.0, 7.0, 1.0))  # odom interpolated at 1.5
    back = buffer.lookup_transform("camera", "map", LATEST)
    assert back.header.stamp == at(1.5).to_msg()
    assert_translation(back, (-1.0, -7.0, -1.0))


def test_a_frame_in_itself_is_the_identity_at_any_time():
    found = Buffer().lookup_transform("map", "map", at(5.0))
    assert_translation(found, (0.0, 0.0, 0.0))
    assert_rotation(found, NO_TURN)
    assert found.header.stamp == at(5.0).to_msg()


def test_times_may_be_messages():
    buffer = buffer_with(edge("map", "base", 1.0), edge("map", "base", 2.0, (4.0, 0.0, 0.0)))
    assert_translation(buffer.lookup_transform("map", "base", at(1.5).to_msg()), (2.0, 0.0, 0.0))


# --- static transforms


def test_a_static_transform_holds_at_any_time():
    buffer = buffer_with(static=[edge("base", "camera", 100.0, (0.0, 0.0, 1.0))])
    for stamp in (1.0, 100.0, 1e6):
        found = buffer.lookup_transform("base", "camera", at(stamp))
        assert_translation(found, (0.0, 0.0, 1.0))
        assert found.header.stamp == at(stamp).to_msg()


def test_a_static_transform_is_replaced_by_a_newer_message():
    buffer = buffer_with(static=[edge("base", "camera", 2.0), edge("base", "camera", 1.0, (0.0, 0.0, 9.0))])
    assert_translation(buffer.lookup_transform("base", "camera", at(5.0)), (0.0, 0.0, 9.0))


# --- errors


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


# --- how long it remembers


def test_ten_seconds_are_kept():
    buffer = buffer_with(*[edge("map", "base", float(stamp)) for stamp in range(1, 24)])
    assert buffer.can_transform("map", "base", at(14.0))
    with pytest.raises(tf2_ros.ExtrapolationException, match="into the past"):
        buffer.lookup_transform("map", "base", at(11.0))


# --- jumps back in time


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


# --- the topics


def test_a_listener_hears_both_broadcasters(ros):
    sender, receiver = ros.node("sender"), ros.node("receiver")
    moving, static = TransformBroadcaster(sender), StaticTransformBroadcaster(sender)
    buffer = Buffer(node=receiver)
    listener = TransformListener(buffer, receiver)
    static.sendTransform([edge("base", "camera", 0.0, (0.0, 0.0, 1.0)), edge("base", "lidar", 0.0, (0.0, 0.0, 2.0))])
    ros.spin_until(
        lambda: buffer.can_transform("map", "camera", at(1.5)),
        then=lambda: moving.sendTransform([edge("map", "base", 1.0), edge("map", "base", 2.0, (4.0, 0.0, 0.0))]),
    )
    assert_translation(buffer.lookup_transform("map", "camera", at(1.5)), (2.0, 0.0, 1.0))
    assert_translation(buffer.lookup_transform("camera", "lidar", LATEST), (0.0, 0.0, 1.0))

    listener.unregister()
    moving.sendTransform(edge("map", "base", 3.0))
    ros.spin_for(0.3)
    assert not buffer.can_transform("map", "base", at(3.0))


def test_static_transforms_reach_a_listener_that_comes_late(ros):
    sender, receiver = ros.node("sender"), ros.node("receiver")
    static = StaticTransformBroadcaster(sender)
    static.sendTransform(edge("base", "camera", 0.0, (0.0, 0.0, 1.0)))
    static.sendTransform([edge("base", "lidar", 0.0, (0.0, 0.0, 2.0))])
    ros.spin_for(0.2)
    buffer = Buffer(node=receiver)
    listener = TransformListener(buffer, receiver)
    ros.spin_until(lambda: buffer.can_transform("camera", "lidar", LATEST))  # both: not only the last one sent
    assert_translation(buffer.lookup_transform("camera", "lidar", LATEST), (0.0, 0.0, 1.0))
    listener.unregister()
