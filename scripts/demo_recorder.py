"""Keeps what the mapper publishes: the demo's own process on the other side of DDS.

    python scripts/demo_recorder.py FOLDER

Writes FOLDER/labels/<stamp_ns>.png as received and, in FOLDER/received/, color/ (PNG), depth/ (16-bit millimeters, 0
void), confidence/ (8-bit, 255 = 1), map.npz, scene.npz (keyframes, frustums) and recording.json. Prints `ready` once
the mapper's topics are there, and ends on SIGINT or SIGTERM.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from cv_bridge import CvBridge
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray
from numpy.typing import NDArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from sray_ros.common.conversions import nanoseconds
from sray_ros.viewer.reading import cloud_of_message

MAPPER = "semantic_mapper"


class DemoRecorder(Node):
    """One subscription per output; pictures go to disk as they come."""

    def __init__(self, folder: Path) -> None:
        super().__init__("demo_recorder")
        self._folder = folder
        self._bridge = CvBridge()
        self._received: dict[str, set[int]] = {}
        self._clouds = 0
        self._keyframes = PoseArray()
        self._frustums = MarkerArray()
        self._map: PointCloud2 | None = None
        self._render_seconds: dict[int, float] = {}
        self._facts: dict[str, str] = {}
        listened = QoSProfile(depth=50)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._first = self._hear_images("label/image", folder / "labels")
        received = folder / "received"
        self._hear_images("color/image", received / "color", lambda pixels: cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        self._hear_images("depth/image", received / "depth", _millimeters)
        self._hear_images("label/confidence", received / "confidence", lambda share: np.rint(share * 255).astype("u1"))
        self.create_subscription(PointCloud2, f"{MAPPER}/points", self._on_points, listened)
        self.create_subscription(PointCloud2, f"{MAPPER}/map", self._on_map, latched)
        self.create_subscription(PoseArray, f"{MAPPER}/keyframes", self._on_keyframes, latched)
        self.create_subscription(MarkerArray, f"{MAPPER}/frustums", self._on_frustums, latched)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, listened)

    @property
    def is_matched(self) -> bool:
        """The mapper's label images would reach us."""
        return self.count_publishers(self._first) > 0

    def _hear_images(
        self, name: str, folder: Path, stored: Callable[[NDArray[Any]], NDArray[Any]] = lambda pixels: pixels
    ) -> str:
        """Write each picture of a topic as `stored` makes it; returns the topic."""
        folder.mkdir(parents=True, exist_ok=True)
        stamps = self._received[name] = set()

        def on_image(message: Image) -> None:
            stamp = nanoseconds(message.header.stamp)
            cv2.imwrite(str(folder / f"{stamp}.png"), stored(self._bridge.imgmsg_to_cv2(message)))
            stamps.add(stamp)

        return self.create_subscription(Image, f"{MAPPER}/{name}", on_image, QoSProfile(depth=50)).topic_name

    def _on_points(self, message: PointCloud2) -> None:
        self._clouds += 1

    def _on_map(self, message: PointCloud2) -> None:
        self._map = message

    def _on_keyframes(self, message: PoseArray) -> None:
        self._keyframes = message

    def _on_frustums(self, message: MarkerArray) -> None:
        self._frustums = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f"{MAPPER}: work":
                self._facts = {entry.key: entry.value for entry in status.values}
                if int(self._facts["renders"]):
                    self._render_seconds[int(self._facts["renders"])] = float(self._facts["last render seconds"])

    def save(self) -> None:
        """The map, and what was counted."""
        received = self._folder / "received"
        if self._map is not None:
            cloud = cloud_of_message(self._map, self._keyframes.header.frame_id)
            np.savez_compressed(received / "map.npz", **vars(cloud))
        np.savez_compressed(received / "scene.npz", keyframes=_poses(self._keyframes), **_lines(self._frustums))
        record = {
            "received": {name: len(stamps) for name, stamps in self._received.items()},
            "clouds": self._clouds,
            "keyframes": len(self._keyframes.poses),
            "render_seconds": [self._render_seconds[count] for count in sorted(self._render_seconds)],
            "mapper": self._facts,
            "rmw": rclpy.get_rmw_implementation_identifier(),
        }
        (received / "recording.json").write_text(json.dumps(record, indent=2) + "\n")


def _poses(message: PoseArray) -> NDArray[np.float64]:
    """Position and quaternion (poses, 7), x y z x y z w."""
    poses = [
        [*(getattr(pose.position, axis) for axis in "xyz"), *(getattr(pose.orientation, axis) for axis in "xyzw")]
        for pose in message.poses
    ]
    return np.array(poses, np.float64).reshape(-1, 7)


def _lines(message: MarkerArray) -> dict[str, NDArray[np.float64]]:
    """Line ends (lines, 2, 3) by the marker's namespace."""
    return {
        marker.ns: np.array([[point.x, point.y, point.z] for point in marker.points], np.float64).reshape(-1, 2, 3)
        for marker in message.markers
    }


def _millimeters(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.nan_to_num(depth * 1000, nan=0, posinf=0).round().clip(0, 65535).astype(np.uint16)


def main() -> int:
    stop = threading.Event()
    # What was received is saved after the signal: the context must outlive it.
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    recorder = DemoRecorder(Path(sys.argv[1]))
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    is_ready = False
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)
            if not is_ready and recorder.is_matched:
                is_ready = True
                print("ready", flush=True)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        recorder.save()
        recorder.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
