"""Reporter: publishes once a second what the node knows about itself, and logs each silence once."""

from __future__ import annotations

import time
from typing import Any

from sray.mapping.keyframes import MIB
from sray_ros.common.health import SilenceLog
from sray_ros.common.model_choice import memory_in_use
from sray_ros.mapper.api import DIAGNOSTICS
from sray_ros.mapper.context import MapperContext
from sray_ros.mapper.inputs import CameraInputs
from sray_ros.mapper.lanes import IMAGES, REQUESTS
from sray_ros.mapper.pose_queue import PoseQueue
from sray_ros.mapper.scene import Scene


class Reporter:
    """Lives as long as the node."""

    def __init__(self, context: MapperContext) -> None:
        self._context = context
        self._publisher = context.node.create_publisher(DIAGNOSTICS.type, DIAGNOSTICS.name, DIAGNOSTICS.qos)
        self._silences = SilenceLog(context.logger)
        self._counted: tuple[float, int] = (0.0, 0)

    def report(self, scene: Scene | None, inputs: CameraInputs | None, poses: PoseQueue | None) -> None:
        """`scene` and `poses` are None while the node is not configured, `inputs` while it is not active."""
        health, trigger, node = self._context.health, self._context.settings.trigger, self._context.node
        silence = None
        if scene is not None and poses is not None:
            silence = health.silence(inputs, poses, trigger, self._context.is_paused)
        self._silences.tell(silence, health.quiet_since)
        facts = health.facts() | self._facts_of_inputs(inputs)
        facts |= self._facts_of_scene(scene) if scene is not None else {"model": "none"}
        facts["trigger"] = trigger
        stamp, name = node.get_clock().now().to_msg(), node.get_fully_qualified_name()[1:]
        self._publisher.publish(health.array(stamp, name, silence, health.doing(), facts))

    def _facts_of_inputs(self, inputs: CameraInputs | None) -> dict[str, Any]:
        received, now = inputs.image.received if inputs is not None else 0, time.monotonic()
        then, counted = self._counted
        inbox = self._context.worker.inbox
        self._counted = now, received
        return {
            "images received": received,
            "images per second": f"{max(0, received - counted) / max(1e-3, now - then):.1f}",
            "images waiting": inbox.waiting(IMAGES),
            "images dropped": inbox.dropped[IMAGES.name],
            "requests waiting": inbox.waiting(REQUESTS),
            "requests dropped": inbox.dropped[REQUESTS.name],
        }

    @staticmethod
    def _facts_of_scene(scene: Scene) -> dict[str, Any]:
        keyframes = scene.mapper.keyframes
        return {
            "model": scene.checkpoint.id,
            "keyframes": len(keyframes),
            "keyframes MiB": f"{keyframes.bytes / MIB:.1f}",
            "labels waiting": scene.frames.labels_waiting,
            "voxels": len(scene.mapper.map),
            "device": scene.device,
            "memory MiB": f"{memory_in_use(scene.device) / MIB:.0f}",
        }
