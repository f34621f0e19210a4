"""When TF has started again, and when a single frame is merely odd."""

from __future__ import annotations

import pytest
from geometry_msgs.msg import TransformStamped

from sray_ros.common.tf_restarts import TfRestarts

SECOND = 10**9


def edge(child: str, second: float, parent: str = "map") -> TransformStamped:
    transform = TransformStamped(child_frame_id=child)
    transform.header.frame_id = parent
    transform.header.stamp.sec, transform.header.stamp.nanosec = int(second), round(second % 1 * SECOND)
    return transform


@pytest.fixture
def tree() -> TfRestarts:
    """A tree map <- odom <- base <- camera, of which the camera is asked for, up to second 100."""
    restarts = TfRestarts(lambda: {"map", "camera"})
    restarts.parent(edge("camera", 0, "base"))
    for child, parent in (("odom", "map"), ("base", "odom"), ("gripper", "base")):
        assert restarts.look(edge(child, 100, parent)) is None
    return restarts


PARENTS = {"odom": "map", "base": "odom", "gripper": "base"}


@pytest.mark.parametrize("child", ["odom", "base"])
def test_a_frame_that_poses_depend_on_takes_two_transforms_to_start_again(tree: TfRestarts, child: str) -> None:
    assert tree.look(edge(child, 20, PARENTS[child])) is None
    restart = tree.look(edge(child, 20.1, PARENTS[child]))
    assert restart is not None and restart.why == f"frame {child} went back by 79.9 s in TF"
    assert [each.header.stamp.sec for each in restart.again] == [20, 20]  # nothing of the new time is lost
    assert tree.look(edge(child, 20.2, PARENTS[child])) is None  # once


@pytest.mark.parametrize("second", [0, 89, 20])
def test_one_odd_transform_starts_nothing(tree: TfRestarts, second: float) -> None:
    for child in ("gripper", "base", "odom"):
        for time in (second, 100.1, second, 100.2):
            assert tree.look(edge(child, time, PARENTS[child])) is None


def test_a_foreign_frame_never_starts_anything(tree: TfRestarts) -> None:
    assert [tree.look(edge("gripper", 20 + tick / 10, "base")) for tick in range(5)] == [None] * 5


def test_the_camera_is_a_witness_before_or_after(tree: TfRestarts) -> None:
    assert tree.look(edge("base", 95, "odom")) is None  # 5 s: a short recording
    assert tree.witness(95 * SECOND, 5 * SECOND) is not None
    assert tree.witness(40 * SECOND, 55 * SECOND) is None
    assert tree.look(edge("gripper", 40, "base")) is None
    assert tree.look(edge("base", 40, "odom")) is not None


def test_a_camera_that_is_odd_alone_starts_nothing(tree: TfRestarts) -> None:
    assert tree.witness(80 * SECOND, 20 * SECOND) is None
    for tick in range(5):
        assert tree.look(edge("base", 100 + tick / 10, "odom")) is None


def test_a_stamp_in_the_far_future_is_recovered_from(tree: TfRestarts) -> None:
    assert tree.look(edge("base", 2_000_000, "odom")) is None
    assert tree.look(edge("base", 100.1, "odom")) is None
    restart = tree.look(edge("base", 100.2, "odom"))
    assert restart is not None and len(restart.again) == 2


def test_oddities_are_told_of_once_by_name(tree: TfRestarts) -> None:
    for transform, words in (
        (edge("gripper", 0, "base"), "TF: base <- gripper has stamp 0"),
        (edge("odom", 88), "TF: map <- odom has a stamp 12.0 s before its newest"),
    ):
        tree.look(transform)
        assert words in str(tree.oddity(transform))
        assert tree.oddity(transform) is None
    assert tree.oddity(edge("base", 100.1, "odom")) is None
