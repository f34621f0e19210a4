"""The scorer as a process of its own: the scores are the hand-computed ones, whatever the order of arrival."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig.listener import Listener
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32
from vision_msgs.msg import LabelInfo, VisionClass

from sray.label_space import SCANNET20

pytestmark = pytest.mark.ros
SCORER = "sray_ros.scorer.node"
VOID = 255


class Session:
    """A scorer that is running and matched with our publishers."""

    def __init__(self, listener: Listener, *ros_args: str, truth: str = "labels", **parameters: object) -> None:
        self.listener = listener
        self.miou = listener.hear(Float32, "/label_scorer/miou")
        self._label = listener.node.create_publisher(Image, "label/image", 20)
        self._truth = listener.node.create_publisher(Image, truth, 20)
        self.process = listener.start(SCORER, *ros_args, **parameters)
        matched = lambda: self._label.get_subscription_count() and self._truth.get_subscription_count()  # noqa: E731
        assert listener.until(matched)
        listener.meet("/label_scorer")
        listener.until(lambda: False, 0.5)  # what is latched comes first

    def label(self, stamp_ns: int, rows: list[list[int]], encoding: str = "mono8") -> None:
        self._label.publish(image(stamp_ns, rows, encoding))

    def truth(self, stamp_ns: int, rows: list[list[int]]) -> None:
        self._truth.publish(image(stamp_ns, rows))

    def scored(self, count: int, seconds: float = 20) -> bool:
        return self.listener.until(lambda: len(self.miou) >= count, seconds)

    def end(self) -> str:
        return self.listener.end(self.process, signal.SIGINT)


def image(stamp_ns: int, rows: list[list[int]], encoding: str = "mono8") -> Image:
    pixels = np.array(rows, np.uint8)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], step=pixels.shape[1], encoding=encoding)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.data = pixels.tobytes()
    return message


@pytest.mark.shows("label_scorer", "scorer label/image", "scorer labels", "scorer ~/miou", "scorer output")
def test_the_scores_are_those_of_one_confusion_matrix_over_all_pairs(listener: Listener, tmp_path: Path) -> None:
    session = Session(listener, output=tmp_path / "scores.json")
    session.truth(10**9, [[0, 0, 1, 1], [0, 0, 1, VOID]])
    session.label(10**9, [[0, 0, 1, 0], [0, VOID, 1, 1]])
    assert session.scored(1)
    # wall: 3 hits, 1 missed as void, 1 too many: 3/5. floor: 2 hits, 1 missed; a label on void truth is free: 2/3.
    assert session.miou[0].data == pytest.approx((3 / 5 + 2 / 3) / 2)
    session.label(2 * 10**9 + 7, [[1, 1], [1, 4]])
    session.truth(2 * 10**9 + 7, [[1, 1], [1, 1]])
    assert session.scored(2)
    # floor: 5 hits of 7. Chair (4) is nowhere in the truth: it costs floor a pixel and has no IoU of its own.
    assert session.miou[1].data == pytest.approx((3 / 5 + 5 / 7) / 2)
    output = session.end()
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["label_images"] == 2
    assert record["strict_miou"] == pytest.approx((3 / 5 + 5 / 7) / 2)
    assert record["total_accuracy"] == pytest.approx(8 / 11)
    assert record["commonest_class_miou"] == pytest.approx(7 / 11 / 2)
    assert record["per_class_iou"]["floor"] == pytest.approx(5 / 7) and record["per_class_iou"]["chair"] is None
    assert "2 label images" in output and "strict mIoU 65.7" in output and "chair" not in output
    saved = cv2.imread(str(tmp_path / "scores_images" / "labels" / f"{10**9}.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(saved, [[0, 0, 1, 0], [0, VOID, 1, 1]])


def test_only_the_same_stamp_is_a_pair(listener: Listener, tmp_path: Path) -> None:
    session = Session(listener, output=tmp_path / "scores.json")
    session.label(5, [[0]])
    session.truth(6, [[0]])
    session.truth(7, [[1]])
    session.label(7, [[1]])
    assert session.scored(1)
    session.end()
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["label_images"] == 1
    assert record["unmatched"] == {"labels": 1, "truths": 1}


def test_a_larger_truth_is_sampled_at_the_labels_pixel_centers(listener: Listener) -> None:
    session = Session(listener)
    session.truth(1, [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]])
    session.label(1, [[0, 1]])
    assert session.scored(1)
    assert session.miou[0].data == 1.0
    session.end()


def test_a_bad_label_image_is_named_and_the_next_one_counts(listener: Listener) -> None:
    session = Session(listener)
    for stamp in (1, 2, 3):
        session.truth(stamp, [[0, 1, 1]])
    session.label(1, [[0, 1, 1]], encoding="rgb8")
    session.label(2, [[0, 99, 1]])
    session.label(3, [[0, 1, 1]])
    assert session.scored(1)
    assert session.miou[0].data == 1.0
    output = session.end()
    assert "encoding 'rgb8'" in output and "99" in output


@pytest.mark.shows("scorer label/info")
def test_names_come_from_label_info(listener: Listener, tmp_path: Path) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    info = LabelInfo(class_map=[VisionClass(class_id=i, class_name=n) for i, n in enumerate(["cup", "spoon"])])
    info.class_map.append(VisionClass(class_id=VOID, class_name="UNLABELED"))
    listener.node.create_publisher(LabelInfo, "label/info", latched).publish(info)
    session = Session(listener, output=tmp_path / "scores.json")
    session.truth(1, [[0, 1]])
    session.label(1, [[0, 0]])
    assert session.scored(1)
    output = session.end()
    assert json.loads((tmp_path / "scores.json").read_text())["per_class_iou"] == {"cup": 0.5, "spoon": 0.0}
    assert "spoon" in output


@pytest.mark.shows("launch score", "scorer labels/info")
def test_label_spaces_that_differ_are_refused_by_the_class_that_differs_until_they_agree(
    listener: Listener, tmp_path: Path
) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)

    def info(*names: str) -> LabelInfo:
        return LabelInfo(class_map=[VisionClass(class_id=i, class_name=n) for i, n in enumerate(names)])

    own = listener.node.create_publisher(LabelInfo, "label/info", latched)
    own.publish(info("cup", "spoon"))
    listener.node.create_publisher(LabelInfo, "/front/labels/info", latched).publish(info("cup", "fork", "spoon"))
    session = Session(listener, "-r", "labels:=/front/labels", output=tmp_path / "scores.json", truth="/front/labels")
    listener.until(lambda: False, 1.0)
    session.truth(1, [[0, 1]])
    session.label(1, [[0, 1]])
    assert not session.scored(1, 2)
    own.publish(info("cup", "fork", "spoon"))
    listener.until(lambda: False, 1.0)
    session.truth(2, [[0, 2]])
    session.label(2, [[0, 2]])
    assert session.scored(1)
    output = session.end()
    assert "label/info says class 1 is 'spoon', the truth's labels/info says 'fork' (2 classes against 3)" in output
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["label_images"] == 1 and record["refused"] is None


@pytest.mark.shows("scorer log_period")
def test_the_miou_so_far_is_a_log_line_now_and_then(listener: Listener) -> None:
    session = Session(listener, log_period=0.3)
    for stamp in (1, 2):
        session.truth(stamp, [[0, 1]])
        session.label(stamp, [[0, 0 if stamp == 1 else 1]])
        assert session.scored(stamp)
        listener.until(lambda: False, 0.5)
    for stamp in (3, 4, 5):
        session.truth(stamp, [[0, 1]])
        session.label(stamp, [[0, 1]])
    assert session.scored(5)
    output = session.end()
    # wall: 1 hit, 1 too many, floor: none of 1; then 2 hits of 3, and 1 of 2.
    assert "strict mIoU 25.0, total accuracy 50.0 after 1 label images" in output
    assert "strict mIoU 58.3, total accuracy 75.0 after 2 label images" in output
    assert output.count("after ") == 3, "the three that come together are one line"


@pytest.mark.shows("scorer queue_size")
def test_of_too_many_labels_without_truth_the_oldest_goes(listener: Listener, tmp_path: Path) -> None:
    session = Session(listener, output=tmp_path / "scores.json", queue_size=2)
    for stamp in (1, 2, 3):
        session.label(stamp, [[0, 1]])
    listener.until(lambda: False, 0.5)
    for stamp in (1, 2, 3):
        session.truth(stamp, [[0, 1]])
    assert session.scored(2) and not session.scored(3, 1)
    session.end()
    record = json.loads((tmp_path / "scores.json").read_text())
    assert (record["label_images"], record["unmatched"]) == (2, {"labels": 0, "truths": 1})


@pytest.mark.shows("scorer label_space")
def test_the_classes_are_those_of_the_label_space_and_an_unknown_one_is_refused(
    listener: Listener, tmp_path: Path
) -> None:
    session = Session(listener, output=tmp_path / "scores.json", label_space="scannet20")
    session.end()
    assert list(json.loads((tmp_path / "scores.json").read_text())["per_class_iou"]) == list(SCANNET20.names)
    status, output = listener.finish(listener.start(SCORER, label_space="kitchens"))
    assert status == 1
    assert "label_space 'kitchens' is not known; expected one of rooms" in output
    status, output = listener.finish(listener.start(SCORER, queue_size=0))
    assert status == 1
    assert "queue_size" in output and "100000" in output and "Traceback" not in output


@pytest.mark.shows("scorer end_after")
def test_nothing_to_score_is_said_and_null(listener: Listener, tmp_path: Path) -> None:
    session = Session(listener, output=tmp_path / "scores.json", end_after=0.5)
    session.label(1, [[0]])
    status, output = listener.finish(session.process, 20)
    assert status == 0 and "no label image was scored (waiting: 1 labels, 0 truths)" in output
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["strict_miou"] is None and record["total_accuracy"] is None
    assert session.miou == []


@pytest.mark.shows("scorer camera_info")
@pytest.mark.fault("ground truth of a camera with a lens, scored against rectified views", code="none",
                   says="nowhere: the truth is rectified by camera_info, as the pictures are",
                   recovery="none needed")  # fmt: skip
def test_the_truth_of_a_camera_with_a_lens_is_rectified(listener: Listener) -> None:
    info = CameraInfo(width=32, height=24, distortion_model="plumb_bob", d=[-0.3, 0.1, 0.0, 0.0, 0.0])
    info.k = [24.0, 0.0, 15.5, 0.0, 24.0, 11.5, 0.0, 0.0, 1.0]
    columns, rows = np.meshgrid(np.arange(32), np.arange(24))
    distorted = ((columns // 3 + rows // 3) % 2).astype(np.uint8)
    rectified = cv2.undistort(distorted, np.array(info.k).reshape(3, 3), np.array(info.d))
    inner = np.full((24, 32), VOID, np.uint8)  # undistort() blends, which a label does not: away from edges
    flat = cv2.morphologyEx(rectified, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) == 0
    inner[flat] = rectified[flat]
    assert 0.1 < (distorted[flat] != rectified[flat]).mean() < 0.9
    session = Session(listener)
    publisher = listener.node.create_publisher(CameraInfo, "camera_info", 10)
    assert listener.until(lambda: bool(publisher.get_subscription_count()))
    listener.meet("/label_scorer")
    truth = distorted.copy()
    session.truth(10**9, truth.tolist())
    session.label(10**9, rectified.tolist())
    assert not session.scored(1, 1.0)  # somebody publishes camera_info, and it has not come
    publisher.publish(info)
    assert session.scored(1)
    assert session.miou[0].data > 0.9
    assert "1 label images against ground truth" in session.end()


@pytest.mark.shows("scorer camera.rectified")
def test_a_truth_that_is_rectified_already_stays_as_it_is(listener: Listener) -> None:
    info = CameraInfo(width=32, height=24, distortion_model="plumb_bob", d=[-0.3, 0.1, 0.0, 0.0, 0.0])
    info.k = [24.0, 0.0, 15.5, 0.0, 24.0, 11.5, 0.0, 0.0, 1.0]
    info.p = [24.0, 0.0, 15.5, 0.0, 0.0, 24.0, 11.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    columns, rows = np.meshgrid(np.arange(32), np.arange(24))
    pixels = ((columns // 3 + rows // 3) % 2).tolist()
    session = Session(listener, **{"camera.rectified": True})
    publisher = listener.node.create_publisher(CameraInfo, "camera_info", 10)
    assert listener.until(lambda: bool(publisher.get_subscription_count()))
    publisher.publish(info)
    session.truth(10**9, pixels)
    session.label(10**9, pixels)
    assert session.scored(1)
    assert session.miou[0].data == 1.0
    session.end()
