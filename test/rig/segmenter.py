"""For tests: the segmenter as a process of its own, and a camera that sends it pictures."""

from __future__ import annotations

import array
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from safetensors.torch import load_file, save_file
from segmenter_fixtures import save_model
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo

from rig.listener import Listener, listening
from sray.label_space import ROOMS, LabelSpace
from sray.segmentation import Segmenter, load_mapping, load_pretrained
from sray_ros.common.conversions import image_message, label_info_message, nanoseconds, time_message

FRAME = "front_optical_frame"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
THRESHOLD = 0.4
SHARPER = 100
SIZE = (50, 36)


def sharp_model(folder: Path) -> Path:
    """A tiny SegFormer whose random weights tell one part of a picture from another."""
    weights = save_model("segformer", folder) / "model.safetensors"
    tensors = load_file(weights)
    tensors["decode_head.classifier.weight"] *= SHARPER
    save_file(tensors, weights, {"format": "pt"})
    return folder


def picture(seed: int) -> NDArray[np.uint8]:
    """RGB noise of a size that divides by nothing."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    return np.ascontiguousarray(cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC))


def expected(folder: Path, rgb: NDArray[np.uint8], space: LabelSpace = ROOMS, threshold: float = THRESHOLD) -> Any:
    """What the library makes of it, without a node. Some labeled, some unsure."""
    labels = Segmenter(load_pretrained(folder), load_mapping("ade20k", space), threshold).segment(rgb).labels
    assert len(np.unique(labels)) >= 2 and 255 in labels, "nothing to tell apart"
    return labels


class SegmenterProcess:
    """A segmenter that is running, has its model, and is matched with our publishers."""

    def __init__(
        self,
        listener: Listener,
        *ros_args: str,
        module: str = "sray_ros.segmenter.node",
        hears: bool = True,
        **parameters: Any,
    ) -> None:
        self.listener, node = listener, listener.node
        parameters = {"label_space": "rooms", "threshold": THRESHOLD, "device": "cpu"} | parameters
        given = {name: value for name, value in parameters.items() if value != ""}
        self.diagnostics = listener.hear(DiagnosticArray, "/diagnostics")
        self.rosout = listener.hear(Log, "/rosout", QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self.info = listener.hear(LabelInfo, "labels/info", LATCHED)
        self.labels: list[Image] = []
        self._hearing = node.create_subscription(Image, "labels", self.labels.append, 10)
        self.image = node.create_publisher(Image, "image", 10)
        self.compressed = node.create_publisher(CompressedImage, "image/compressed", 10)
        self.label_info = node.create_publisher(LabelInfo, "label/info", LATCHED)
        self._set = node.create_client(SetParametersAtomically, "/segmenter/set_parameters_atomically")
        self.process = listener.start(module, *ros_args, **given)
        if hears:
            assert listener.until(self.is_matched, 60), listener.end(self.process, signal.SIGKILL)
            listener.meet("/segmenter")

    def is_matched(self) -> bool:
        """Whether it hears us, and we it."""
        cameras = self.image.get_subscription_count() + self.compressed.get_subscription_count()
        return bool(cameras and self.listener.node.count_publishers("labels") and self._set.service_is_ready())

    def send(self, rgb: NDArray[np.uint8], stamp_ns: int, encoding: str = "rgb8") -> None:
        pixels = rgb[..., ::-1] if encoding == "bgr8" else rgb
        self.image.publish(image_message(Header(stamp=time_message(stamp_ns), frame_id=FRAME), pixels, encoding))

    def send_png(self, rgb: NDArray[np.uint8], stamp_ns: int) -> None:
        png = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes()
        header = Header(stamp=time_message(stamp_ns), frame_id=FRAME)
        self.compressed.publish(CompressedImage(header=header, format="png", data=array.array("B", png)))

    def name_classes(self, space: LabelSpace) -> None:
        """As the mapper does."""
        self.label_info.publish(label_info_message(Header(), space, 0.0))

    def stop_listening(self) -> None:
        self.listener.node.destroy_subscription(self._hearing)

    def listen(self) -> None:
        self._hearing = self.listener.node.create_subscription(Image, "labels", self.labels.append, 10)

    def labeled(self, rgb: NDArray[np.uint8], stamp_ns: int, encoding: str = "rgb8") -> NDArray[np.uint8]:
        """Send a picture, get its labels."""
        self.send(rgb, stamp_ns, encoding)
        return self.answer(stamp_ns)

    def answer(self, stamp_ns: int, seconds: float = 20) -> NDArray[np.uint8]:
        """The labels of this stamp."""
        found = self.listener.until(lambda: stamp_ns in self.stamps, seconds)
        assert found, f"no labels for {stamp_ns}; {self.lines}"
        message = self.labels[self.stamps.index(stamp_ns)]
        assert message.encoding == "mono8" and message.header.frame_id == FRAME
        return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)

    @property
    def stamps(self) -> list[int]:
        return [nanoseconds(message.header.stamp) for message in self.labels]

    def set(self, **values: Any) -> str:
        """Set parameters together; "" or the reason of the refusal."""
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        result = self.listener.call(self._set, SetParametersAtomically.Request(parameters=parameters)).result
        return "" if result.successful else str(result.reason)

    def fact(self, key: str, value: str | None = None, seconds: float = 30) -> str | None:
        """What the diagnostics from now on say of it, or come to say, if that is this value."""
        del self.diagnostics[:]
        self.listener.until(lambda: self.facts and value in (None, self.facts.get(key)), seconds)
        return self.facts.get(key)

    @property
    def facts(self) -> dict[str, str]:
        """Of the last diagnostics."""
        return {pair.key: pair.value for a in self.diagnostics[-1:] for s in a.status for pair in s.values}

    def says(self, words: str, level: bytes | None = None, seconds: float = 30) -> bool:
        """Whether log and, from now on, diagnostics come to say this."""
        del self.diagnostics[:]

        def told() -> bool:
            statuses = [status for array_ in self.diagnostics for status in array_.status]
            by_diagnostics = any(words in s.message and level in (None, s.level) for s in statuses)
            return by_diagnostics and any(words in line.msg for line in self.rosout)

        return self.listener.until(told, seconds)

    @property
    def lines(self) -> str:
        """The log so far."""
        return "\n".join(line.msg for line in self.rosout)


@contextmanager
def broken_segmenter(folder: Path, *, hears: bool = True, silence: float = 5.0, **parameters: Any) -> Iterator[Any]:
    """A process of `broken_segmenter` with a DDS domain of its own; `.broken` is the file that breaks it."""
    with pytest.MonkeyPatch.context() as patch, listening() as listener:
        broken = folder.with_name(f"{folder.name}_{listener.domain}_broken")
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        patch.setenv("SRAY_TEST_SILENCE", str(silence))
        patch.setenv("SRAY_TEST_BREAK", str(broken))
        if not hears:
            broken.write_text("load: stuck")
        process = SegmenterProcess(listener, module="rig.broken_segmenter", hears=hears, model=folder, **parameters)
        process.broken = broken  # type: ignore[attr-defined]
        yield process
        broken.unlink(missing_ok=True)
