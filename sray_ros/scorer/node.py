"""Compares label images with ground truth by stamp: strict mIoU on a topic and in the log, a table at the end.

Listens to `label/image` and `labels` (mono8, 255 void), to `label/info` for the names, and to `labels/info`, where it
is published: labels that mean something else than the truth are not scored. Publishes `~/miou`. Every label counts
once, whichever of the two came first.

Labels are of rectified views, the truth is of the camera's own pictures: it is rectified by `camera_info`, where
somebody publishes it, and then brought to the label's size, nearest-exact.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import cv2
import rclpy
from rclpy.exceptions import InvalidParameterValueException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32
from vision_msgs.msg import LabelInfo

from sray.calibration import said_by
from sray.camera_info import read_camera_info
from sray.crash import ends_in_one_line
from sray.errors import RequestError, SrayError
from sray.frames import nearest_exact
from sray.label_space import LABEL_SPACES
from sray.metrics import ConfusionMatrix
from sray.rectification import Rectifier
from sray_ros.common.conversions import Picture, nanoseconds, read_labels
from sray_ros.common.error_codes import with_code
from sray_ros.common.label_infos import first_difference, names_of
from sray_ros.common.signals import init_until_signaled
from sray_ros.scorer import api
from sray_ros.scorer.parameters import ScorerParameters, ScorerSettings


class LabelScorer(Node):
    """Order: parameters, callbacks, matching, reporting."""

    def __init__(self) -> None:
        super().__init__("label_scorer")
        self._settings = settings = ScorerParameters(self, ScorerSettings).now
        space = settings.label_space
        if space not in LABEL_SPACES:
            raise RequestError(f"label_space {space!r} is not known", f"one of {', '.join(LABEL_SPACES)}")
        self._names: list[str] = list(LABEL_SPACES[space].names)
        self._matrix = ConfusionMatrix(len(self._names))
        self._output = Path(settings.output).expanduser() if settings.output else None
        self._labels: OrderedDict[int, Picture] = OrderedDict()
        self._truths: OrderedDict[int, Picture] = OrderedDict()
        self._rectifier = Rectifier()
        self._camera_info: CameraInfo | None = None
        self._last_label = 0.0
        self._last_line = 0.0
        self._truth_names: dict[int, str] | None = None
        """What the ground truth says its indices mean; None: it does not say."""
        self._label_names: dict[int, str] | None = None
        self._mismatch = ""
        """Why nothing is scored; "": the label spaces agree as far as is known."""
        self.scored = 0
        """Label images compared so far."""
        self._miou = self.create_publisher(api.MIOU.type, api.MIOU.name, api.MIOU.qos)
        for topic, callback in (
            (api.LABEL_INFO, self._on_info),
            (api.TRUTH_INFO, self._on_truth_info),
            (api.LABEL, self._on_label),
            (api.TRUTH, self._on_truth),
            (api.CAMERA_INFO, self._on_camera_info),
        ):
            self.create_subscription(topic.type, topic.resolved(self), callback, topic.qos)

    @property
    def over(self) -> bool:
        """No new label for `end_after` seconds since the last."""
        bound = self._settings.end_after
        return bool(bound and self._last_label and time.monotonic() - self._last_label > bound)

    def _on_info(self, info: LabelInfo) -> None:
        is_first, named = self._label_names is None, names_of(info)
        self._label_names = named
        self._compare_spaces()
        names = [named.get(index, f"class {index}") for index in range(max(named, default=-1) + 1)]
        if not names or names == self._names:
            return
        self._names = names
        if is_first:  # these are also the names of labels that came before them
            with suppress(ValueError):
                self._matrix = self._matrix.resized(len(names))
                return
        if self.scored:
            self.get_logger().warning("the label space has changed; scores start again from nothing")
        self._matrix, self.scored = ConfusionMatrix(len(names)), 0

    def _on_truth_info(self, info: LabelInfo) -> None:
        self._truth_names = names_of(info)
        self._compare_spaces()

    def _compare_spaces(self) -> None:
        self._mismatch = difference(self._label_names, self._truth_names)
        if self._mismatch:
            self.get_logger().error(f"nothing is scored: {self._mismatch}")
            if self.scored:
                self._matrix, self.scored = ConfusionMatrix(len(self._names)), 0

    def _on_camera_info(self, info: CameraInfo) -> None:
        is_first, self._camera_info = self._camera_info is None, info
        if is_first:
            for stamp in [stamp for stamp in self._labels if stamp in self._truths]:
                self._score(stamp, self._labels.pop(stamp), self._truths.pop(stamp))

    @property
    def _knows_the_lens(self) -> bool:
        """Whether a truth can be rectified, or needs no rectification."""
        return self._camera_info is not None or not self.count_publishers(api.CAMERA_INFO.resolved(self))

    def _on_label(self, message: Image) -> None:
        self._last_label = time.monotonic()
        self._take(message, self._labels)

    def _on_truth(self, message: Image) -> None:
        self._take(message, self._truths)

    def _take(self, message: Image, waiting: OrderedDict[int, Picture]) -> None:
        try:
            picture = read_labels(message)
        except SrayError as error:
            self.get_logger().error(with_code(error), throttle_duration_sec=5.0)
            return
        stamp = nanoseconds(message.header.stamp)
        waiting[stamp] = picture
        while len(waiting) > self._settings.queue_size:
            waiting.popitem(last=False)
        if stamp in self._labels and stamp in self._truths and self._knows_the_lens:
            self._score(stamp, self._labels.pop(stamp), self._truths.pop(stamp))

    def _score(self, stamp: int, label: Picture, truth: Picture) -> None:
        if self._mismatch:
            return
        try:
            truth = self._rectified(truth)
        except SrayError as error:
            self.get_logger().error(
                f"the label image at {stamp / 1e9:.3f} s is not scored: {with_code(error)}", throttle_duration_sec=5.0
            )
            return
        truth = nearest_exact(truth, label.shape[1], label.shape[0])
        try:
            self._matrix.update(label, truth)
        except ValueError as error:
            self.get_logger().error(
                f"the label image at {stamp / 1e9:.3f} s is not scored: {error}; does the truth use this label space?",
                throttle_duration_sec=5.0,
            )
            return
        self.scored += 1
        scores = self._matrix.strict()
        self._miou.publish(Float32(data=scores.miou))
        if time.monotonic() - self._last_line >= self._settings.log_period:
            self._last_line = time.monotonic()
            self.get_logger().info(
                f"strict mIoU {100 * scores.miou:.1f}, total accuracy {100 * scores.total_accuracy:.1f} after "
                f"{self.scored} label images"
            )
        if self._output is not None:
            for kind, picture in (("labels", label), ("truth", truth)):
                folder = self._output.with_name(f"{self._output.stem}_images") / kind
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f"{stamp}.png"), picture)

    def _rectified(self, truth: Picture) -> Picture:
        """As the mapper rectifies the picture of this truth. Raises CalibrationError."""
        if self._camera_info is None:
            return truth
        calibration = read_camera_info(self._camera_info, is_rectified=self._settings.camera.rectified)
        with said_by("camera_info"):
            calibration = calibration.of_pictures(truth.shape[1], truth.shape[0])
        return self._rectifier.labels(calibration, truth)

    def report(self) -> str:
        """Writes `output`, if asked for, and returns the table."""
        scores, floor = self._matrix.strict(), self._matrix.commonest_class().miou
        pixels = self._matrix.counts.sum(1)
        record = {
            "label_images": self.scored,
            "strict_miou": _number(scores.miou),
            "total_accuracy": _number(scores.total_accuracy),
            "average_accuracy": _number(scores.average_accuracy),
            "commonest_class_miou": _number(floor),
            "per_class_iou": {name: _number(iou) for name, iou in zip(self._names, scores.per_class_iou, strict=True)},
            "refused": self._mismatch or None,
            "unmatched": {"labels": len(self._labels), "truths": len(self._truths)},
        }
        if self._output is not None:
            self._output.parent.mkdir(parents=True, exist_ok=True)
            self._output.write_text(json.dumps(record, indent=2) + "\n")
        if self._mismatch:
            return f"nothing was scored: {self._mismatch}"
        if not self.scored:
            return f"no label image was scored (waiting: {len(self._labels)} labels, {len(self._truths)} truths)"
        rows = [
            f"  {name:<16}{100 * iou:6.1f}{100 * count / pixels.sum():10.1f} %"
            for name, iou, count in zip(self._names, scores.per_class_iou, pixels, strict=True)
            if count
        ]
        return "\n".join(
            [
                f"{self.scored} label images against ground truth",
                f"  {'class':<16}{'IoU':>6}{'of pixels':>12}",
                *rows,
                f"  strict mIoU {100 * scores.miou:.1f}   total accuracy {100 * scores.total_accuracy:.1f}   "
                f"commonest class everywhere: mIoU {100 * floor:.1f}",
            ]
        )


def difference(labels: dict[int, str] | None, truth: dict[int, str] | None) -> str:
    """In which class the two differ, and what to do; "" if in none, or if one of them is not known."""
    if labels is None or truth is None or (index := first_difference(labels, truth)) is None:
        return ""
    return (
        f"label/info says class {index} is {labels.get(index, 'nothing')!r}, the truth's labels/info says "
        f"{truth.get(index, 'nothing')!r} ({len(labels)} classes against {len(truth)}); expected one label space. "
        "Play or convert the scene with the model's (label_space:= of the launch, --label-space of sray bag)"
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


@ends_in_one_line("label_scorer")
def main(args: list[str] | None = None) -> int:
    """Exit status 1 only for a wrong parameter."""
    stop = init_until_signaled(args)
    scorer: LabelScorer | None = None
    try:
        scorer = LabelScorer()
        with SingleThreadedExecutor() as executor:  # shut down before the context: its destructor would complain
            executor.add_node(scorer)
            while not (stop.is_set() or scorer.over):
                executor.spin_once(timeout_sec=0.1)
    except (SrayError, InvalidParameterValueException) as error:
        print(f"label_scorer: {error}", file=sys.stderr)
        return 1
    finally:
        if scorer is not None:
            print(scorer.report(), flush=True)
            scorer.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
