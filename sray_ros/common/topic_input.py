"""TopicInput: one subscription with reliability `auto`, that can say why nothing comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from message_filters import SimpleFilter
from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from sray_ros.common.topics import COMPRESSED, IMAGE, Topic


class TopicInput(SimpleFilter):
    """A message filter over a subscription that asks for what the publishers offer.

    `auto` asks for reliable delivery until a publisher is seen that offers only best effort: DDS then tells of
    incompatible QoS, and `keep_up` subscribes anew. The other way round would lose large images for no reason.
    """

    def __init__(self, node: Node, declared: Topic, reliability: str, group: CallbackGroup) -> None:
        super().__init__()
        self.topic: str = declared.resolved(node)
        self.received = 0
        self.last_stamp_ns: int | None = None
        self.last_arrival = 0.0
        """Steady time, seconds."""
        self.on_stamp: Callable[[int], None] = lambda stamp_ns: None
        """Told of every stamp, nanoseconds, before the message goes out."""
        self._node = node
        self._type = declared.type
        self._depth = declared.depth
        self._is_auto = reliability == "auto"
        self._group = group
        self._look_again = False
        self._is_closed = False
        self._lock = threading.Lock()
        """Of the subscription: it is closed by one thread and made anew by another."""
        best_effort = self._offers_best_effort() if self._is_auto else reliability == "best_effort"
        self._subscription = self._subscribe(best_effort)

    def close(self) -> None:
        """For good: nothing is heard afterwards."""
        with self._lock:
            self._is_closed = True
            self._node.destroy_subscription(self._subscription)

    def keep_up(self) -> None:
        """Subscribe anew if a publisher turned out to offer less. Call from a timer, not from a callback of DDS."""
        if not self._look_again:
            return
        self._look_again = False
        if not self._is_auto or self._is_best_effort or not self._offers_best_effort():
            return
        with self._lock:
            if not self._is_closed:
                self._node.get_logger().info(f"{self.topic}: a publisher offers best effort; subscribing so")
                self._node.destroy_subscription(self._subscription)
                self._subscription = self._subscribe(True)

    def why_silent(self) -> str:
        """What stands between this topic and us, as far as DDS tells."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers:
            return f"nothing publishes {self.topic}: start the camera, or remap the topic"
        wanted = f"{self._type.__module__.split('.')[0]}/msg/{self._type.__name__}"
        types = sorted({publisher.topic_type for publisher in publishers})
        if wanted not in types:
            return f"{self.topic} is {', '.join(types)}; expected {wanted}. Remap it, or see image_transport"
        offered = sorted({_reliability_name(publisher.qos_profile.reliability) for publisher in publishers})
        asked = "best_effort" if self._is_best_effort else "reliable"
        if asked == "reliable" and "reliable" not in offered:
            return (
                f"{self.topic}: offered QoS is {', '.join(offered)}, requested is {asked}; "
                "set qos_overrides.reliability to auto or best_effort"
            )
        hint = "" if "reliable" in offered else ". Large best-effort messages are lost without a shared memory profile"
        return (
            f"{self.topic} has a publisher (offered QoS {', '.join(offered)}, requested {asked}) but no message{hint}"
        )

    def _subscribe(self, best_effort: bool) -> Subscription:
        self._is_best_effort = best_effort
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        return self._node.create_subscription(
            self._type,
            self.topic,
            self._on_message,
            QoSProfile(depth=self._depth, reliability=reliability),
            callback_group=self._group,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos),
        )

    def _on_message(self, message: Any) -> None:
        stamp = message.header.stamp
        if stamp.sec < 0:  # which rclpy's Time raises at; counted as not received
            return
        self.received += 1
        self.last_stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        self.last_arrival = time.monotonic()
        self.on_stamp(self.last_stamp_ns)
        self.signalMessage(message)

    def _on_incompatible_qos(self, event: Any) -> None:
        self._look_again = True

    def _offers_best_effort(self) -> bool:
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        return any(p.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for p in publishers)


def _reliability_name(reliability: ReliabilityPolicy) -> str:
    return str(reliability.name).lower()


def image_input(node: Node, transport: str, reliability: str, group: CallbackGroup) -> TopicInput:
    """The topic `image`, or what image_transport compressed of it (`transport`: raw, compressed)."""
    return TopicInput(node, COMPRESSED if transport == "compressed" else IMAGE, reliability, group)
