"""The tree of frames and the look-ups in it, without topics, clocks or waiting.

Takes times as rclpy Time or builtin_interfaces Time; time 0 means the latest time that the whole chain has in common.
"""

from __future__ import annotations

import math
import threading
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.logging import get_logger
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

DEFAULT_CACHE_TIME = 10 * 1_000_000_000  # nanoseconds
LONGEST_CHAIN = 1000


class BufferCore:
    """Thread-safe store of transforms. `cache_time`: how long moving ones are kept (rclpy Duration; default 10 s)."""

    def __init__(self, cache_time: Any = None) -> None:
        self._cache_time = DEFAULT_CACHE_TIME if cache_time is None else nanoseconds(cache_time)
        self._histories: dict[str, MovingHistory | StaticHistory] = {}
        self._authorities: dict[str, str] = {}
        self._frames: dict[str, None] = {}  # every frame ever heard of, in order; a root has no history
        self._lock = threading.RLock()
        self._logger = get_logger("tf2_buffer")

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
                history = StaticHistory(link) if is_static else MovingHistory(self._cache_time)
                self._histories[child] = history
            if history.insert(link):
                self._authorities[child] = authority
            else:
                self._logger.warning(
                    f"TF_OLD_DATA: ignoring the transform of '{child}' at {seconds(link.stamp)} from '{authority}': "
                    "older than the buffer keeps. After a jump back in time, clear() the buffer"
                )

    # --- reading

    def lookup_transform_core(self, target_frame: str, source_frame: str, time: Any) -> TransformStamped:
        """target_from_source at `time`. Raises a TransformException that says which kind of failure it is."""
        stamp, pose = self._lookup(target_frame, source_frame, nanoseconds(time))
        return to_message(stamp, pose, target_frame, source_frame)

    def lookup_transform_full_core(
        self, target_frame: str, target_time: Any, source_frame: str, source_time: Any, fixed_frame: str
    ) -> TransformStamped:
        """target_from_source, each at its own time; `fixed_frame` is the frame that stood still in between."""
        with self._lock:
            for frame in (target_frame, source_frame, fixed_frame):
                self._check(frame)
            _, fixed_from_source = self._lookup(fixed_frame, source_frame, nanoseconds(source_time))
            stamp, target_from_fixed = self._lookup(target_frame, fixed_frame, nanoseconds(target_time))
        return to_message(stamp, target_from_fixed @ fixed_from_source, target_frame, source_frame)

    def can_transform_core(self, target_frame: str, source_frame: str, time: Any) -> tuple[bool, str]:
        """Whether the look-up would succeed, and why not."""
        try:
            self._lookup(target_frame, source_frame, nanoseconds(time))
        except TransformException as error:
            return False, str(error)
        return True, ""

    def can_transform_full_core(
        self, target_frame: str, target_time: Any, source_frame: str, source_time: Any, fixed_frame: str
    ) -> tuple[bool, str]:
        try:
            self.lookup_transform_full_core(target_frame, target_time, source_frame, source_time, fixed_frame)
        except TransformException as error:
            return False, str(error)
        return True, ""

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """The newest time at which the whole chain is known; 0 if all of it is static."""
        with self._lock:
            self._check(target_frame)
            self._check(source_frame)
            return Time(nanoseconds=self._latest_common_time(target_frame, source_frame))

    def all_frames_as_string(self) -> str:
        """One line a frame: its name and its parent, for log lines and people."""
        with self._lock:
            parents = {frame: history.latest() for frame, history in self._histories.items()}
            return "".join(
                f"Frame {frame} exists with parent {link.parent if link else 'NO_PARENT'}.\n"
                for frame, link in parents.items()
            )

    def all_frames_as_yaml(self) -> str:
        """A mapping from frame to parent, broadcaster and newest stamp; `[]` before anything came in."""
        with self._lock:
            if not self._frames:
                return "[]"
            return "".join(
                f"{frame}: \n  parent: '{link.parent}'\n  broadcaster: '{self._authorities[frame]}'\n"
                f"  most_recent_transform: {seconds(link.stamp)}\n"
                for frame, history in self._histories.items()
                if (link := history.latest()) is not None
            )

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
    """From a message (sec, nanosec) or an rclpy Time or Duration (nanoseconds)."""
    if hasattr(time, "sec") and hasattr(time, "nanosec"):
        return int(time.sec) * 1_000_000_000 + int(time.nanosec)
    if hasattr(time, "nanoseconds"):
        return int(time.nanoseconds)
    raise TypeError("time must have sec and nanosec, or nanoseconds.")


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
