"""Labels that reach the mapper: they meet their keyframe by stamp, and mean what the model's classes mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rig.mapper import MapperProcess, time_of
from rig.views import LATCHED, keyframes
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from sray.frames import Frame
from sray.label_space import VOID
from sray.mapping.session import Session
from sray_interfaces.srv import SaveSession
from sray_ros.common.conversions import image_message

pytestmark = pytest.mark.ros
SETTINGS: dict[str, Any] = {"keyframes.min_sharpness": 0.0, "render.quality": "fast", "trigger": "request"}

Send = Callable[[float, np.ndarray], None]


@pytest.fixture
def send_labels(mapper: MapperProcess) -> Iterator[Send]:
    node = mapper.listener.node
    publisher = node.create_publisher(Image, "labels", 10)
    assert mapper.listener.until(publisher.get_subscription_count)
    yield lambda second, values: publisher.publish(image_message(Header(stamp=time_of(second)), values, "mono8"))
    node.destroy_publisher(publisher)


def labels_of(frame: Frame) -> np.ndarray:
    assert frame.labels is not None
    return frame.labels.numpy().copy()


def is_labeled(mapper: MapperProcess) -> list[bool]:
    return [keyframe.has_labels for keyframe in keyframes(mapper).keyframes]


@pytest.mark.shows("labels")
@pytest.mark.parametrize("order", ["after", "before"])
def test_labels_meet_their_keyframe_by_stamp_whichever_comes_first(
    mapper: MapperProcess, frames: list[Frame], data_dir: Path, send_labels: Send, order: str
) -> None:
    labels = labels_of(frames[1])
    labels[:2] = VOID
    if order == "before":
        send_labels(401.0, labels)
        send_labels(777.0, labels)  # belongs to nothing
        assert mapper.listener.until(lambda: mapper.value("labels waiting") == "2")
    mapper.send_in_lockstep(frames[:3], 400.0)
    if order == "after":
        assert is_labeled(mapper) == [False, False, False]
        send_labels(401.0, labels)
    assert mapper.listener.until(lambda: is_labeled(mapper) == [False, True, False])
    # Labels of no class of the model are refused by their value, and the good ones stay.
    bad = labels.copy()
    bad[5, 5] = 77
    send_labels(401.0, bad)
    assert mapper.said("hold 77; expected indices of 3 classes")
    mapper.service(SaveSession, "save_session", SaveSession.Request(file=f"labeled_{order}"))
    (_, first), (_, second), _ = Session.load(data_dir / f"labeled_{order}.safetensors").keyframes
    assert first.labels is None
    assert second.labels is not None
    np.testing.assert_array_equal(second.labels.numpy(), labels)


@pytest.mark.shows("labels/info")
@pytest.mark.fault("labels of another label space than the model's, all of whose indices the model has too",
                   code="MODEL_MISMATCH", says="log and diagnostics: the first class that differs",
                   recovery="labels of the model's label space; what taught before stays")  # fmt: skip
def test_labels_that_mean_other_classes_do_not_teach(
    mapper: MapperProcess, frames: list[Frame], send_labels: Send
) -> None:
    node = mapper.listener.node
    infos = node.create_publisher(LabelInfo, "labels/info", LATCHED)

    def mean(*names: str) -> None:
        classes = [VisionClass(class_id=index, class_name=name) for index, name in enumerate(names)]
        infos.publish(LabelInfo(class_map=[*classes, VisionClass(class_id=VOID, class_name="UNLABELED")]))

    def sent_until(condition: Callable[[], bool]) -> bool:
        """Labels come on another topic than what they mean, and may overtake it."""
        for _ in range(100):
            send_labels(400.0, labels_of(frames[0]))
            if mapper.listener.until(condition, 0.3):
                return True
        return False

    assert mapper.listener.until(infos.get_subscription_count)
    mean("red", "blue")
    send_labels(777.0, labels_of(frames[0]))  # belongs to nothing
    assert mapper.said("MODEL_MISMATCH: labels/info says class 1 is 'blue' (2 classes), the model's is 'green' (3)")
    mapper.send_in_lockstep(frames[:2], 400.0)
    refused = int(mapper.fact("refused MODEL_MISMATCH") or 0)
    assert sent_until(lambda: int(mapper.value("refused MODEL_MISMATCH") or 0) > refused)
    assert is_labeled(mapper) == [False, False]
    mean("red", "green", "blue")
    assert sent_until(lambda: is_labeled(mapper) == [True, False])
    # A labeler may name those classes alone that it knows; what one that has gone said does not hold after a restart.
    mean("red", "green")
    send_labels(401.0, labels_of(frames[1]))
    assert mapper.listener.until(lambda: is_labeled(mapper) == [True, True])
    mean("blue")
    refused = int(mapper.fact("refused MODEL_MISMATCH") or 0)
    assert sent_until(lambda: int(mapper.value("refused MODEL_MISMATCH") or 0) > refused)
    node.destroy_publisher(infos)
    mapper.start_over()
    mapper.send_in_lockstep(frames[:1], 400.0)
    assert sent_until(lambda: is_labeled(mapper) == [True])
