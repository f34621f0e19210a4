"""Reporter: once a second, what the node knows of itself: diagnostics, and one log line per silence."""

from __future__ import annotations

import time
from typing import Any

from rclpy.node import Node

from sray.mapping.keyframes import MIB
from sray_ros.common.inbox import Inbox
from sray_ros.common.model_choice import memory_in_use
from sray_ros.mapper.declarations import DIAGNOSTICS
from sray_ros.mapper.health import Health, SilenceLog
from sray_ros.mapper.inputs import CameraInputs
from sray_ros.mapper.jobs import IMAGES, REQUESTS
from sray_ros.mapper.pose_queue import PoseQueue
from sray_ros.mapper.worker import MappingWork


class Reporter:
    """Lives as long as the node; looks at what there is of it."""

    def __init__(self, node: Node, health: Health, inbox: Inbox) -> None:
        self._node = node
        self._health = health
        self._inbox = inbox
        self._publisher = node.create_publisher(DIAGNOSTICS.type, DIAGNOSTICS.name, DIAGNOSTICS.qos)
        self._silences = SilenceLog(node.get_logger())
        self._counted: tuple[float, int] = (0.0, 0)

    def report(
        self, work: MappingWork | None, inputs: CameraInputs | None, poses: PoseQueue | None, trigger: str, paused: bool
    ) -> None:
        silence = None
        if work is not None and poses is not None:
            silence = self._health.silence(inputs, poses, trigger, paused)
        self._silences.tell(silence, self._health.quiet_since)
        facts = self._facts_of_inputs(inputs) | (self._facts_of_work(work) if work is not None else {"model": "none"})
        facts["trigger"] = trigger
        stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name()[1:]
        self._publisher.publish(self._health.array(stamp, name, silence, facts))

    def _facts_of_inputs(self, inputs: CameraInputs | None) -> dict[str, Any]:
        received, now = inputs.image.received if inputs is not None else 0, time.monotonic()
        then, counted = self._counted
        self._counted = now, received
        return {
            "images received": received,
            "images per second": f"{max(0, received - counted) / max(1e-3, now - then):.1f}",
            "images waiting": self._inbox.waiting(IMAGES),
            "images dropped": self._inbox.dropped[IMAGES.name],
            "requests waiting": self._inbox.waiting(REQUESTS),
            "requests dropped": self._inbox.dropped[REQUESTS.name],
        }

    @staticmethod
    def _facts_of_work(work: MappingWork) -> dict[str, Any]:
        keyframes = work.mapper.keyframes
        return {
            "model": work.checkpoint.id,
            "keyframes": len(keyframes),
            "keyframes MiB": f"{keyframes.bytes / MIB:.1f}",
            "labels waiting": work.labels_waiting,
            "voxels": len(work.mapper.map),
            "device": work.device,
            "memory MiB": f"{memory_in_use(work.device) / MIB:.0f}",
        }
