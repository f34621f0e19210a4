"""What the nodes rely on of tf2_ros: values, static transforms, and the two topics."""

from __future__ import annotations

import math

import pytest
from rclpy.time import Time
from rig.transforms import LATEST, NO_TURN, QUARTER_LEFT, assert_rotation, assert_translation, at, buffer_with, edge
from tf2_ros import Buffer, StaticTransformBroadcaster, TransformBroadcaster, TransformListener


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


def test_a_static_transform_holds_at_any_time():
    buffer = buffer_with(static=[edge("base", "camera", 100.0, (0.0, 0.0, 1.0))])
    for stamp in (1.0, 100.0, 1e6):
        found = buffer.lookup_transform("base", "camera", at(stamp))
        assert_translation(found, (0.0, 0.0, 1.0))
        assert found.header.stamp == at(stamp).to_msg()


def test_a_static_transform_is_replaced_by_a_newer_message():
    buffer = buffer_with(static=[edge("base", "camera", 2.0), edge("base", "camera", 1.0, (0.0, 0.0, 9.0))])
    assert_translation(buffer.lookup_transform("base", "camera", at(5.0)), (0.0, 0.0, 9.0))


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
