"""Buffer: the tree of frames and the look-ups in it.

Takes times as rclpy Time or builtin_interfaces Time; time 0 means the latest time that the whole chain has in common.
"""

from __future__ import annotations

import math
import threading
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.time import Time

from tf2_ros.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_ros.rigid import Rigid, canonical
from tf2_ros.transform_history import LATEST, Link, MovingHistory, StaticHistory, seconds

CACHE_TIME = 10 * 1_000_000_000  # nanoseconds that moving transforms are kept
LONGEST_CHAIN = 1000
BACKWARD_JUMP = Duration(seconds=-1)


class Buffer:
    """Thread-safe store of transforms.

    `node`: whose clock decides what a jump back in time is; without one it is the system clock, which never jumps with
    a bag. The official tf2_frames service and waiting for a transform are left out.
    """

    def __init__(self, *, node: Node | None = None) -> None:
        self._histories: dict[str, MovingHistory | StaticHistory] = {}
        self._frames: dict[str, None] = {}  # every frame ever heard of, in order; a root has no history
        self._lock = threading.RLock()
        self._logger = get_logger("tf2_buffer")
        self.clock = node.get_clock() if node is not None else Clock()
        threshold = JumpThreshold(min_forward=None, min_backward=BACKWARD_JUMP, on_clock_change=True)
        self._jumps = self.clock.create_jump_callback(threshold, post_callback=self._on_time_jump)

    def _on_time_jump(self, jump: TimeJump) -> None:
        self._logger.warning("Detected jump back in time. Clearing tf buffer.")
        self.clear()

    # --- writing

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Store where a frame is at the stamp of the message. Nonsense is logged and left out, as in tf2."""
        self._set(transform, authority, is_static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Store where a frame is at all times."""
        self._set(transform, authority, is_static=True)

    def clear(self) -> None:
        """Forget all moving transforms. Static ones and the names of the frames stay."""
        with self._lock:
            for history in self._histories.values():
                history.clear()

    def _set(self, message: TransformStamped, authority: str, is_static: bool) -> None:
        parent, child = message.header.frame_id.removeprefix("/"), message.child_frame_id.removeprefix("/")
        translation, rotation = message.transform.translation, message.transform.rotation
        vector = (translation.x, translation.y, translation.z)
        quaternion = (rotation.x, rotation.y, rotation.z, rotation.w)
        if complaint := complaint_about(parent, child, vector, quaternion):
            self._logger.error(f"ignoring the transform '{parent}' to '{child}' from '{authority}': {complaint}")
            return
        link = Link(nanoseconds(message.header.stamp), parent, Rigid(vector, canonical(quaternion)))
        with self._lock:
            self._frames.setdefault(child)
            self._frames.setdefault(parent)
            history = self._histories.get(child)
            if history is None or isinstance(history, StaticHistory) != is_static:
                history = StaticHistory(link) if is_static else MovingHistory(CACHE_TIME)
                self._histories[child] = history
            if not history.insert(link):
                self._logger.warning(
                    f"TF_OLD_DATA: ignoring the transform of '{child}' at {seconds(link.stamp)} from '{authority}': "
                    "older than the buffer keeps. After a jump back in time, clear() the buffer"
                )

    # --- reading

    def lookup_transform(self, target_frame: str, source_frame: str, time: Any) -> TransformStamped:
        """target_from_source at `time`. Raises a TransformException that says which kind of failure it is."""
        stamp, pose = self._lookup(target_frame, source_frame, nanoseconds(time))
        return to_message(stamp, pose, target_frame, source_frame)

    def can_transform(self, target_frame: str, source_frame: str, time: Any) -> bool:
        """Whether the look-up would succeed."""
        try:
            self._lookup(target_frame, source_frame, nanoseconds(time))
        except TransformException:
            return False
        return True

    def _lookup(self, target: str, source: str, stamp: int) -> tuple[int, Rigid]:
        with self._lock:
            if target == source:  # true of any frame at any time, known or not
                history = self._histories.get(target)
                newest = history.latest() if history and stamp == LATEST else None
                return (newest.stamp if newest else stamp), Rigid()
            self._check(target)
            self._check(source)
            if stamp == LATEST:
                stamp = self._latest_common_time(target, source)
            return stamp, self._walk(target, source, stamp)

    def _walk(self, target: str, source: str, stamp: int) -> Rigid:
        """Climb from the source as far as the data goes, then from the target until the two paths meet."""
        ancestor_from_source = {source: Rigid()}
        frame, pose, blocked = source, Rigid(), None
        while frame != target and (history := self._histories.get(frame)):
            try:
                link = history.at(stamp)
            except ExtrapolationException as error:
                blocked = error  # the paths may still meet below the gap
                break
            pose = link.parent_from_child @ pose
            frame = link.parent
            refuse_loop(frame, ancestor_from_source)
            ancestor_from_source[frame] = pose

        frame, ancestor_from_target, seen = target, Rigid(), {target: None}
        while frame not in ancestor_from_source:
            history = self._histories.get(frame)
            if history is None:
                if blocked:
                    raise ExtrapolationException(f"{blocked}, {between(source, target)}")
                raise unconnected(target, source)
            try:
                link = history.at(stamp)
            except ExtrapolationException as error:
                raise ExtrapolationException(f"{error}, {between(source, target)}") from None
            ancestor_from_target = link.parent_from_child @ ancestor_from_target
            frame = link.parent
            refuse_loop(frame, seen)
            seen[frame] = None
        return ancestor_from_target.inverse() @ ancestor_from_source[frame]

    def _latest_common_time(self, target: str, source: str) -> int:
        if target == source:
            history = self._histories.get(source)
            newest = history.latest() if history else None
            return LATEST if newest is None else newest.stamp
        path = self._latest_path(source)
        if target in path:
            return oldest(path[target])
        for frame, stamps in self._latest_path(target).items():
            if frame in path:
                return oldest(path[frame] + stamps)
        raise unconnected(target, source)

    def _latest_path(self, frame: str) -> dict[str, list[int]]:
        """Each ancestor on the newest way up, the frame itself first, with the newest stamps on the way to it."""
        path: dict[str, list[int]] = {frame: []}
        stamps: list[int] = []
        while (history := self._histories.get(frame)) and (link := history.latest()):
            frame = link.parent
            refuse_loop(frame, path)
            stamps = [*stamps, link.stamp] if link.stamp != LATEST else stamps
            path[frame] = stamps
        return path

    def _check(self, frame: str) -> None:
        if not frame or frame.startswith("/"):
            wrong = "cannot start with a '/'" if frame else "cannot be empty"
            raise InvalidArgumentException(f'Invalid argument "{frame}" passed to the look-up: frame ids {wrong}')
        if frame not in self._frames:
            raise LookupException(f'"{frame}" passed to the look-up does not exist. ')


def complaint_about(parent: str, child: str, vector: tuple[float, ...], quaternion: tuple[float, ...]) -> str:
    """Why tf2 would not take this transform; empty if it would."""
    if not child:
        return "TF_NO_CHILD_FRAME_ID: child_frame_id is empty"
    if not parent:
        return "TF_NO_FRAME_ID: header.frame_id is empty"
    if parent == child:
        return "TF_SELF_TRANSFORM: both frames are the same"
    if any(math.isnan(part) for part in vector + quaternion):
        return f"TF_NAN_INPUT: not a number in {vector} {quaternion}"
    squared_length = sum(part * part for part in quaternion)
    if not 0.0 < squared_length < math.inf:  # any other length is set to 1, as in tf2
        return f"TF_NAN_INPUT: {quaternion} is no rotation"
    return ""


def nanoseconds(time: Any) -> int:
    """From a message (sec, nanosec) or an rclpy Time (nanoseconds)."""
    if hasattr(time, "nanoseconds"):
        return int(time.nanoseconds)
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)


def to_message(stamp: int, pose: Rigid, target_frame: str, source_frame: str) -> TransformStamped:
    message = TransformStamped()
    message.header.stamp = Time(nanoseconds=stamp).to_msg()
    message.header.frame_id = target_frame
    message.child_frame_id = source_frame
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = pose.translation
    rotation.x, rotation.y, rotation.z, rotation.w = canonical(pose.rotation)
    return message


def oldest(stamps: list[int]) -> int:
    return min(stamps, default=LATEST)


def refuse_loop(frame: str, seen: dict[str, Any]) -> None:
    if frame in seen or len(seen) > LONGEST_CHAIN:
        raise LookupException(f"The tf tree is invalid because it contains a loop through '{frame}'.")


def between(source: str, target: str) -> str:
    return f"when looking up transform from frame [{source}] to frame [{target}]"


def unconnected(target: str, source: str) -> ConnectivityException:
    return ConnectivityException(
        f"Could not find a connection between '{target}' and '{source}' because they are not part of the same tree."
        "Tf has two or more unconnected trees."
    )
