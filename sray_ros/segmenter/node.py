"""Labels pictures by a 2D segmentation network, for semantic_mapper to learn from where there is no ground truth.

Wiring only. Callbacks queue; one worker thread owns the network (`segmenting`). Of a camera the newest picture is
labeled, those that came meanwhile are not (`queue_size`); nothing is computed while nobody listens to `labels`.
"""

from __future__ import annotations

import sys
import threading
import time

import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from sray.crash import ends_in_one_line
from sray.errors import SrayError
from sray.mapping.keyframes import MIB
from sray.segmentation import Segmenter
from sray_ros.common.conversions import image_message, label_info_message
from sray_ros.common.error_codes import with_code
from sray_ros.common.health import SilenceLog
from sray_ros.common.inbox import Inbox, Lane
from sray_ros.common.label_infos import names_of
from sray_ros.common.model_choice import memory_in_use
from sray_ros.common.refusals import explained
from sray_ros.common.signals import end_at_once, init_until_signaled
from sray_ros.common.topic_input import TopicInput, image_input
from sray_ros.segmenter import api
from sray_ros.segmenter.health import SegmenterHealth
from sray_ros.segmenter.parameters import SegmenterParameters, SegmenterSettings
from sray_ros.segmenter.worker import SegmentingWork

LOOK_PERIOD, REPORT_PERIOD = 0.1, 1.0
END_SECONDS = 1.0
"""How long an ending node waits for its worker."""


class SegmenterNode(Node):
    """Order: construction, inputs, worker, reports."""

    def __init__(self) -> None:
        super().__init__("segmenter")
        self._settings = SegmenterParameters(self, SegmenterSettings)
        self._health = SegmenterHealth()
        self._health.begin()
        self._pictures = Lane("pictures", self._settings.now.queue_size)
        self._inbox = Inbox((self._pictures,))
        self._work = SegmentingWork(self._settings)
        self._group = MutuallyExclusiveCallbackGroup()
        self._image: TopicInput | None = None
        """None while the model loads."""
        self._labels = self.create_publisher(api.LABELS.type, api.LABELS.name, api.LABELS.qos)
        self._labels_info = self.create_publisher(
            api.LABELS_INFO.type, api.LABELS_INFO.resolved(self), api.LABELS_INFO.qos
        )
        self._diagnostics = self.create_publisher(api.DIAGNOSTICS.type, api.DIAGNOSTICS.name, api.DIAGNOSTICS.qos)
        self._label_info = self.create_subscription(
            api.LABEL_INFO.type, api.LABEL_INFO.name, self._on_label_info, api.LABEL_INFO.qos
        )
        self._announced: tuple[str, float] | None = None
        """Label space and threshold that `labels/info` has told of."""
        self._silences = SilenceLog(self.get_logger())
        self._missing: SrayError | None = None
        """Why there is no label space to label with."""
        self.failure: SrayError | None = None
        """Why the model cannot be loaded: the node is to end."""
        self._is_loaded = False
        self._ending = threading.Event()
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # the node's clock stops with its bag
        self.create_timer(LOOK_PERIOD, self._look, self._group, clock=steady)
        self.create_timer(REPORT_PERIOD, self._report, self._group, clock=steady)
        # A daemon: neither loading nor a network's pass over a picture can be stopped.
        self._worker = threading.Thread(target=self._run, name="segmenting", daemon=True)
        self._worker.start()

    def close(self) -> bool:
        """End; whether the worker has ended too, in time. Call before destroy_node."""
        self._ending.set()
        self._inbox.close()
        self._worker.join(END_SECONDS)
        return not self._worker.is_alive()

    # --- inputs

    def _look(self) -> None:
        """Ten times a second: listen once the model is there, keep up with what the inputs offer."""
        if self._image is not None:
            self._image.keep_up()
        elif self._is_loaded:
            self._image = self._listen()
        if (segmenter := self._segmenter()) is not None:
            self._announce(segmenter)

    def _listen(self) -> TopicInput:
        transport, reliability = self._settings.now.image_transport, self._settings.now.qos_overrides.reliability
        image = image_input(self, transport, reliability, self._group)
        image.registerCallback(self._on_image)
        self._health.begin()
        return image

    def _on_image(self, message: Image | CompressedImage) -> None:
        if self._labels.get_subscription_count() and self._segmenter() is not None:
            self._inbox.put(self._pictures, (message, time.monotonic()))
        else:
            self._health.ignored += 1

    def _on_label_info(self, info: LabelInfo) -> None:
        self._work.hear(tuple(names_of(info).values()))

    def _segmenter(self) -> Segmenter | None:
        """Into the label space that is asked for; None if there is none (yet), and then why is known."""
        try:
            segmenter, self._missing = (self._work.segmenter if self._is_loaded else None), None
        except SrayError as error:
            segmenter, self._missing = None, error
        return segmenter

    def _announce(self, segmenter: Segmenter) -> None:
        told = segmenter.label_space.name, float(self._settings.now.threshold)
        if told != self._announced:
            self._announced = told
            header = Header(stamp=self.get_clock().now().to_msg())
            self._labels_info.publish(label_info_message(header, segmenter.label_space, told[1]))

    # --- the worker

    def _run(self) -> None:
        try:
            self._work.load()
        except Exception as error:
            self.failure = explained(error, self.get_logger())
            return
        self._inbox.open()
        self._is_loaded = True
        while not self._ending.is_set():
            begun = time.monotonic()
            if (taken := self._inbox.take()) is None:
                return
            self._try(*taken[0])
            if rate := self._settings.now.max_rate:  # waits after its picture, so that the next one is the newest
                self._ending.wait(max(0.0, begun + 1 / rate - time.monotonic()))

    def _try(self, message: Image | CompressedImage, since: float) -> None:
        """Label a picture. Raises nothing: what goes wrong is counted and logged, and the next one has its turn."""
        if not self._labels.get_subscription_count():
            self._health.ignored += 1
            return
        self._health.busy_since = begun = time.monotonic()
        try:
            answer = self._work.label(message)
            if not self._ending.is_set():
                self._labels.publish(image_message(message.header, answer.labels, "mono8"))
                now = time.monotonic()
                self._health.done(now - begun, now - since, answer.coverage)
        except Exception as error:
            if not self._ending.is_set():
                refusal = explained(error, self.get_logger())
                if self._health.refused(refusal):
                    self.get_logger().warning(with_code(refusal))
        finally:
            self._health.busy_since = None

    # --- reports

    def _report(self) -> None:
        """Once a second: diagnostics; and a log line for each silence."""
        segmenter = self._segmenter()
        waits_for = "" if segmenter is not None else self._label_info.topic_name
        is_heard = bool(self._labels.get_subscription_count())
        silence = self._health.silence(self._image, waits_for, self._missing, is_heard)
        self._silences.tell(silence, self._health.quiet_since)
        facts = {
            "pictures received": self._image.received if self._image is not None else 0,
            "pictures displaced": self._inbox.dropped[self._pictures.name],
            "label space": segmenter.label_space.name if segmenter is not None else "none",
            "model": self._settings.now.model,
            "model sha256": self._work.sha256[:12] or "none",
            "mapping": self._settings.now.mapping,
            "threshold": self._settings.now.threshold,
            "device": self._work.device,
            "memory MiB": f"{memory_in_use(self._work.device) / MIB:.0f}",
        }
        name = self.get_fully_qualified_name()[1:]
        doing = "labeling" if self._health.labeled else "waiting"
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(self._health.array(stamp, name, silence, doing, self._health.facts() | facts))


@ends_in_one_line("segmenter")
def main(args: list[str] | None = None) -> int:
    """Spin until SIGINT or SIGTERM; 0 then, 1 if the node cannot start."""
    stop = init_until_signaled(args)
    try:
        node = SegmenterNode()
    except Exception as error:
        print(f"segmenter cannot start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set() and node.failure is None:
            executor.spin_once(timeout_sec=0.1)
    finally:
        status = 0 if node.failure is None else 1
        if status:
            print(f"segmenter cannot start: {node.failure}", file=sys.stderr)
        has_ended = node.close()
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()
    if not has_ended:  # its thread is in the network, or loading it
        end_at_once(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
