"""For tests of TF: transforms, buffers that hold them, and what comes out."""

from __future__ import annotations

import math

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from tf2_ros import Buffer

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
