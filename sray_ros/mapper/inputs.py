"""CameraInputs: matches image, camera_info and depth by stamp, and waits for the camera's pose.

Labels are not matched here: a segmenter publishes them later than their image.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

from message_filters import ApproximateTimeSynchronizer, SimpleFilter, TimeSynchronizer
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from sray.errors import CalibrationError, SrayError, StaleError
from sray.recorded_bag import tf_name
from sray_ros.common.conversions import nanoseconds
from sray_ros.common.poses import Matrix
from sray_ros.common.topic_input import TopicInput, image_input
from sray_ros.mapper import api
from sray_ros.mapper.depth_matching import JUMP_BACK_NS, DepthMatching
from sray_ros.mapper.parameters import MapperParameters
from sray_ros.mapper.pose_queue import PoseQueue, Waiting

IMAGE, INFO = 0, 1
"""The two inputs that are matched."""
INFO_LOST = 2.0
"""Seconds after which an image without camera_info is given up, once others have found theirs: a player in lockstep
sends nothing more until it is."""
DEPTH_STOPPED = 1.0
"""Seconds without depth, and sync.queue_size images, after which images no longer wait for it."""


class Held(NamedTuple):
    """An image or a camera_info whose counterpart has not come."""

    stamp_ns: int
    input_number: int
    message: Image | CompressedImage | CameraInfo
    since: float
    """Steady seconds."""


@dataclass(frozen=True)
class Arrival:
    """One image with everything that belongs to it, still as messages."""

    image: Image | CompressedImage
    info: CameraInfo
    depth: Image | None
    map_from_camera: Matrix
    since: float
    """Steady seconds: when the image and its camera_info had come."""
    camera_from_depth: Matrix | None = None
    """Where depth is of another frame than the image, and TF knows how they stand to each other."""

    @property
    def stamp_ns(self) -> int:
        return nanoseconds(self.image.header.stamp)


class Receiver(Protocol):
    """Who gets what comes in."""

    def on_arrival(self, arrival: Arrival) -> None:
        """An image with its camera_info and its pose has come."""

    def on_labels(self, image: Image) -> None:
        """A label image has come."""

    def on_labels_info(self, info: LabelInfo) -> None:
        """What the indices of label images mean."""

    def on_refused(self, header: Header, error: SrayError) -> None:
        """The image of this header will never be complete."""

    def on_jump_back(self, what: str, new_ns: int, jump_ns: int) -> None:
        """Time went back by `jump_ns` nanoseconds to `new_ns`. To be answered by `restart`."""


class CameraInputs:
    """Subscribes for as long as it is not closed. Callbacks do no work: they match and queue."""

    def __init__(self, node: Node, parameters: MapperParameters, poses: PoseQueue, receiver: Receiver) -> None:
        self._node = node
        self._parameters = parameters
        self._poses = poses
        self._receiver = receiver
        self._depths = DepthMatching(parameters.now.sync.queue_size, parameters.now.sync.slop)
        self._held: deque[Held] = deque()
        self._matching = threading.RLock()
        """Guards what is held and matched: a jump of the clock restarts it on another thread."""
        self._last_match = 0.0
        self._matched_since_depth = 0
        """Images."""
        self._last_stamps_ns: dict[TopicInput, int] = {}
        self.matched = 0
        """Images that found their camera_info."""
        group = MutuallyExclusiveCallbackGroup()
        reliability = parameters.now.qos_overrides.reliability
        self.image = image_input(node, parameters.now.image_transport, reliability, group)
        self.info = TopicInput(node, api.CAMERA_INFO, reliability, group)
        self.depth: TopicInput | None = None
        if parameters.now.depth.use:
            self.depth = TopicInput(node, api.DEPTH, reliability, group)
            self.depth.registerCallback(self._on_depth)
        self.labels = TopicInput(node, api.LABELS, reliability, group)
        self.labels.registerCallback(receiver.on_labels)
        of_labels = api.LABELS_INFO
        self._labels_info = node.create_subscription(
            of_labels.type, of_labels.resolved(node), receiver.on_labels_info, of_labels.qos, callback_group=group
        )
        for topic in (self.image, self.info):  # not depth and labels: theirs may be old, because they come late
            topic.on_stamp = partial(self._watch_time, topic)
        self._connect()
        self.image.registerCallback(partial(self._match, IMAGE))
        self.info.registerCallback(partial(self._match, INFO))

    def close(self) -> None:
        for topic in self._topics:
            topic.close()
        self._node.destroy_subscription(self._labels_info)

    def keep_up(self) -> None:
        """Subscribe anew where a publisher offers less than was asked for; give up what waited in vain. Call often."""
        for topic in self._topics:
            topic.keep_up()
        with self._matching:
            last = time.monotonic() - INFO_LOST
            while self.matched and self._held and self._held[0].since < last:
                self._give_up(self._held.popleft())

    def restart(self, new_ns: int, jump_ns: int) -> None:
        """Match anew after time went back by `jump_ns` to `new_ns`: old stamps, being larger, would be preferred.

        What has come of the new time is kept, as a jump may be told of more than once, and in the midst of a match.
        """
        with self._matching:
            held, self._held = self._held, deque()
            self._last_stamps_ns.clear()
            self._depths.restart(new_ns, jump_ns)
            self._connect()
            for each in held:
                if each.stamp_ns < new_ns + jump_ns // 2:
                    self._match(each.input_number, each.message)
                elif each.input_number == IMAGE:
                    error = StaleError("time jumped back before its camera_info came")
                    self._receiver.on_refused(each.message.header, error)

    def are_after(self, jump_ns: int, now_ns: int) -> bool:
        """Whether the stamps have already gone back as the clock has, by `jump_ns` to `now_ns`, and told of it.

        Clock and images come on their own ways. Restarting again, when the other one tells of the same jump, would
        lose what has come of the first new image.
        """
        stamps_ns = list(self._last_stamps_ns.values())
        return bool(stamps_ns) and max(stamps_ns) < now_ns + jump_ns // 2

    def why_silent(self) -> str | None:
        """Which input is missing, and why; None if images and camera_info arrive and match."""
        for topic in (self.image, self.info):
            if not topic.received:
                return topic.why_silent()
        if not self.matched:
            return self._no_match()
        return None

    def why_stopped(self, seconds: float) -> str | None:
        """Which of image and camera_info came, and has not for so long, or no longer matches; None if neither."""
        now = time.monotonic()
        for topic in (self.image, self.info):
            if now - topic.last_arrival > seconds:
                return f"{topic.topic} stopped {now - topic.last_arrival:.0f} s ago"
        return self._no_match() if now - self._last_match > seconds else None

    def _no_match(self) -> str:
        gap = abs((self.image.last_stamp_ns or 0) - (self.info.last_stamp_ns or 0)) * 1e-9
        return (
            f"{self.image.topic} and {self.info.topic} arrive, but no stamps match: the last ones are {gap:.3f} s "
            f"apart; sync.policy is {self._parameters.now.sync.policy}, sync.slop {self._parameters.now.sync.slop:g} s"
        )

    @property
    def _topics(self) -> list[TopicInput]:
        return [topic for topic in (self.image, self.info, self.depth, self.labels) if topic is not None]

    def _connect(self) -> None:
        """With nothing to match yet."""
        size, feeds = self._parameters.now.sync.queue_size, (SimpleFilter(), SimpleFilter())
        if self._parameters.now.sync.policy == "exact":
            synchronizer = TimeSynchronizer(list(feeds), size)
        else:
            synchronizer = ApproximateTimeSynchronizer(list(feeds), size, self._parameters.now.sync.slop)
        synchronizer.registerCallback(self._on_match)
        self._feeds = feeds  # their callbacks keep the synchronizer alive

    def _match(self, input_number: int, message: Image | CompressedImage | CameraInfo) -> None:
        """Hold a message until its counterpart comes, or is known not to."""
        with self._matching:
            self._held.append(Held(nanoseconds(message.header.stamp), input_number, message, time.monotonic()))
            while len(self._held) > 4 * self._parameters.now.sync.queue_size:
                self._give_up(self._held.popleft())
            self._feeds[input_number].signalMessage(message)

    def _give_up(self, held: Held) -> None:
        if held.input_number == IMAGE:
            what = f"the image at {held.stamp_ns * 1e-9:.3f} s found no {self.info.topic} within sync.slop"
            error = CalibrationError(
                what, "one of the same stamp", "Take the camera_info of the same driver, or raise sync.slop"
            )
            self._receiver.on_refused(held.message.header, error)

    def _watch_time(self, topic: TopicInput, stamp_ns: int) -> None:
        """Each topic by itself: whichever comes first after a jump tells of it, and what follows is new already."""
        if stamp_ns == 0:
            return  # no time at all: the image will be refused for it, and nothing else is touched
        back = self._last_stamps_ns.get(topic, 0) - stamp_ns
        if back > JUMP_BACK_NS:
            self._receiver.on_jump_back(
                f"the stamps of {topic.topic} jumped back by {back * 1e-9:.1f} s", stamp_ns, back
            )
        self._last_stamps_ns[topic] = stamp_ns

    def _on_depth(self, depth: Image) -> None:
        self._matched_since_depth = 0
        self._depths.add(nanoseconds(depth.header.stamp), depth)

    def _on_match(self, image: Image | CompressedImage, info: CameraInfo) -> None:
        if not any(each.message is image for each in self._held):
            return  # given up, before its camera_info came after all
        self.matched += 1
        stamp_ns = nanoseconds(image.header.stamp)
        since = self._last_match = time.monotonic()
        # Matches come in order: an older image will not find its camera_info any more.
        in_vain = [each for each in self._held if each.stamp_ns < stamp_ns]
        self._held = deque(each for each in self._held if each.stamp_ns > stamp_ns)
        for each in in_vain:
            self._give_up(each)
        self._matched_since_depth += 1
        found = self._depths.of_image(stamp_ns)

        def deliver(map_from_camera: Matrix) -> None:
            depth, apart = found.nearest, None
            if depth is not None and tf_name(depth.header.frame_id) != tf_name(image.header.frame_id):
                apart = self._poses.between(image.header.frame_id, depth.header.frame_id)
            self._receiver.on_arrival(Arrival(image, info, depth, map_from_camera, since, apart))

        self._poses.put(
            Waiting(
                image.header.frame_id,
                image.header.stamp,
                deliver,
                lambda error: self._receiver.on_refused(image.header, error),
                is_ready=lambda: not self._expects_depth() or found.is_settled,
            )
        )

    def _expects_depth(self) -> bool:
        """Whether images should wait for depth, as long as for their poses. Depth is optional: not before it has come
        once, nor after it has stopped.
        """
        if self.depth is None or not self.depth.received:
            return False
        if time.monotonic() - self.depth.last_arrival < DEPTH_STOPPED:
            return True
        return self._matched_since_depth <= self._parameters.now.sync.queue_size  # slow cameras have slow depth
