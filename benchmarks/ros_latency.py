"""How old a label is when it comes, and how the node answers meanwhile: a camera at 30 Hz, the real node, DDS between.

    python benchmarks/ros_latency.py --json benchmarks/timings/ros_latency.json --plot docs/performance/ros_latency.png

This process is the camera (best effort, as cameras are) and the listener; the mapper is another one, with eight
keyframes that stay the same, rendering every image it can (`trigger: timer`). Both share the machine's cores.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy
import tyro
from geometry_msgs.msg import TransformStamped
from measuring import facts, percentiles, write
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_latency_plot import plot
from ros_rig import MAPPER, Rig
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from tf2_msgs.msg import TFMessage

from sray.frames import Frame
from sray.sequence import Sequence
from sray_ros.common.conversions import camera_info_message, image_message, nanoseconds, time_message
from sray_ros.common.poses import transform_of_matrix
from sray_train.data.rooms import FIRST_HELD_OUT_SEED, room_folder

KEYFRAMES, FRAMES = 8, 24
OPTICAL = "camera_optical_frame"
IDLE_CALLS = 50
LEAST_LABELS = 5
HEAD = (
    "camera", "limit", "label's age: median (95 %)", "in renders", "labels a second", "pixels", "received", "handled",
    "service, ms: median (95 %, worst)", "over idle",
)  # fmt: skip


@dataclass
class Measure:
    """Image stamp to label stamp, messages kept, and services answered, for sizes and latency limits."""

    json: Path | None = None
    """Where the record goes."""
    plot: Path | None = None
    """Where the picture goes."""
    sizes: tuple[tuple[int, int], ...] = ((640, 480), (320, 240))
    """Of the camera's images, and of the views."""
    limits: tuple[float, ...] = (0.0, 0.5, 0.2)
    """render.max_latency, seconds; 0: none."""
    rate: float = 30.0
    """Images a second."""
    seconds: float = 30.0
    """For each size and limit, after three seconds to settle; longer where few labels come."""
    quality: str = "balanced"
    """What the node renders at where no limit lowers it."""


class CameraAndListener:
    """Publishes frames at a fixed rate, and notes when each label came. Times are this process's steady clock."""

    def __init__(self, rig: Rig, frames: list[Frame]) -> None:
        node = rig.node
        qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._image = node.create_publisher(Image, "image", qos)
        self._info = node.create_publisher(CameraInfo, "camera_info", qos)
        self._tf = node.create_publisher(TFMessage, "/tf", 100)
        reliable = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self._subscriptions = [
            node.create_subscription(Image, f"/{MAPPER}/label/image", self._on_label, 10),
            node.create_subscription(Header, f"/{MAPPER}/handled", self._on_handled, reliable),
        ]
        self._frames = [_messages(frame) for frame in frames]
        self.pixels = frames[0].camera.width * frames[0].camera.height
        self.sent: dict[int, float] = {}
        """When each stamp (ns) was handed to the middleware."""
        self.labels: list[tuple[int, float, int]] = []
        """Stamp, when it came, pixels."""
        self.handled: list[int] = []
        rig.until(lambda: self._image.get_subscription_count() and self._tf.get_subscription_count(), 30, "a match")

    def send(self, number: int) -> int:
        """One image with calibration and pose; its stamp in ns."""
        image, info, transform = self._frames[number % len(self._frames)]
        stamp_ns = time.time_ns()
        for message in (image, info, transform):
            message.header.stamp = time_message(stamp_ns)
        self.sent[stamp_ns] = time.monotonic()
        self._tf.publish(TFMessage(transforms=[transform]))
        self._info.publish(info)
        self._image.publish(image)
        return stamp_ns

    def stream(self, first: int, rate: float, stop: threading.Event) -> None:
        """The frames from `first` on, forth and back, until told to stop; a late image is not made up for."""
        due = time.monotonic()
        path = range(first, len(self._frames))
        for number in itertools.cycle((*path, *reversed(path[1:-1]))):  # a jump to the first would be refused
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            self.send(number)
            due = max(due + 1 / rate, time.monotonic() - 1 / rate)

    def _on_label(self, message: Image) -> None:
        self.labels.append((nanoseconds(message.header.stamp), time.monotonic(), message.width * message.height))

    def _on_handled(self, header: Header) -> None:
        self.handled.append(nanoseconds(header.stamp))


def main(measure: Measure) -> None:
    record = facts("latency of the node over DDS, camera and mapper on one machine", 1)
    record |= {"clock": "steady clock of the camera's process, wall time", "rate": measure.rate}
    record |= {"quality": measure.quality, "seconds": measure.seconds}
    rows: list[dict[str, Any]] = []
    print("| " + " | ".join(HEAD) + " |")
    for width, height in measure.sizes:
        with Rig(Path(tempfile.mkdtemp(prefix="ros_latency-"))) as rig:
            _, camera = filled(rig, width, height, render__quality=measure.quality)
            pause = rig.node.create_client(SetBool, f"/{MAPPER}/pause")
            idle = [answer_seconds(rig, pause) for _ in range(IDLE_CALLS)]
            for limit in measure.limits:
                assert rig.set(render__max_latency=limit) == ""
                rows.append(
                    {"width": width, "height": height, "limit": limit, **row(rig, camera, measure, pause, idle)}
                )
                print(markdown(rows[-1]), flush=True)
    write(measure.json, record | {"rows": rows})
    if measure.plot is not None:
        plot(rows, measure.plot)
        print(f"plot: {measure.plot}")


def filled(rig: Rig, width: int, height: int, **parameters: Any) -> tuple[Popen[bytes], CameraAndListener]:
    """A mapper, and a camera whose first frames have become the keyframes; no later one will."""
    mapper = rig.start_mapper(
        keyframes__capacity=KEYFRAMES, keyframes__min_translation=0.0, keyframes__min_rotation=0.0,
        keyframes__min_sharpness=0.0, trigger="request", depth__use=False, model__device="cpu", **parameters,
    )  # fmt: skip
    sequence = Sequence.open(room_folder(FIRST_HELD_OUT_SEED, width=width, height=height, frames=FRAMES))
    spread = list(range(0, FRAMES, FRAMES // KEYFRAMES))
    between = [position for position in range(FRAMES) if position not in spread]
    camera = CameraAndListener(rig, [sequence[position] for position in (*spread, *between)])
    for number in range(KEYFRAMES):
        stamp = camera.send(number)
        rig.until(lambda stamp=stamp: stamp in camera.handled, 30, "keeping a keyframe")
    assert rig.set(keyframes__min_translation=100.0, keyframes__min_rotation=180.0) == ""
    held = int(rig.fresh_facts()["keyframes"])
    if held != KEYFRAMES:
        raise SystemExit(f"error: {held} keyframes are held; expected {KEYFRAMES}")
    return mapper, camera


def row(rig: Rig, camera: CameraAndListener, measure: Measure, pause: Any, idle: list[float]) -> dict[str, Any]:
    """One size and limit: stream, call services meanwhile, and count."""
    assert rig.set(trigger="timer") == ""
    stop = threading.Event()
    streaming = threading.Thread(target=camera.stream, args=(KEYFRAMES, measure.rate, stop))
    streaming.start()
    time.sleep(3)
    before, sent_before, begun = dict(rig.fresh_facts()), len(camera.sent), time.monotonic()
    answers, efforts = [], []
    renders: dict[str, float] = {}
    counted, patience = len(camera.labels), 5 * measure.seconds
    while (gone := time.monotonic() - begun) < measure.seconds or (
        gone < patience and len(camera.labels) - counted < LEAST_LABELS
    ):
        seen = rig.facts_count
        while rig.facts_count == seen:
            answers.append(answer_seconds(rig, pause))
            time.sleep(0.1)
        renders[rig.facts["renders"]] = float(rig.facts["last render seconds"])
        efforts.append(rig.facts.get("last render", ""))
    after, took = dict(rig.facts), time.monotonic() - begun
    sent = dict(list(camera.sent.items())[sent_before:])
    stop.set()
    streaming.join()
    assert rig.set(trigger="request") == ""
    time.sleep(1.0 + 2 * max(renders.values()))  # what waits is rendered, and reported handled
    handled, labels = set(camera.handled), [label for label in camera.labels if label[0] in sent]
    latencies = sorted(came - sent[stamp] for stamp, came, _ in labels)
    if len(latencies) < 3:
        raise SystemExit(f"error: {len(latencies)} labels came in {took:.0f} s; expected more. See {rig.log(MAPPER)}")
    render = statistics.median(renders.values())
    return {
        "labels": len(latencies),
        "latency_s": {"median": round(statistics.median(latencies), 3), "p95": percentiles(latencies)["p95_s"]},
        "render_s": round(render, 3),
        "latency_over_render": round(statistics.median(latencies) / render, 2),
        "renders_per_second": round(len(labels) / took, 2),
        "images_per_second": round(len(sent) / took, 1),
        "share_received": round(gained(before, after, "images received") / max(1, len(sent)), 3),
        "share_handled": round(len(handled & set(sent)) / len(sent), 3),
        "share_rendered": round(len(latencies) / len(sent), 3),
        "share_of_pixels": round(statistics.fmean(pixels for _, _, pixels in labels) / camera.pixels, 3),
        "efforts": {effort: efforts.count(effort) for effort in sorted(set(efforts))},
        "service_ms": of_service(answers),
        "service_idle_ms": of_service(idle),
        "service_over_idle": round(statistics.median(answers) / statistics.median(idle), 1),
    }


def answer_seconds(rig: Rig, pause: Any) -> float:
    """Round trip of `~/pause` with data: false, which changes nothing."""
    begun = time.monotonic()
    rig.call(pause, SetBool.Request(data=False))
    return time.monotonic() - begun


def gained(before: dict[str, str], after: dict[str, str], name: str) -> int:
    return int(after[name]) - int(before[name])


def of_service(seconds: list[float]) -> dict[str, float]:
    milliseconds = numpy.array(seconds) * 1e3
    found = {
        "median": numpy.median(milliseconds),
        "p95": numpy.percentile(milliseconds, 95),
        "worst": milliseconds.max(),
    }
    return {"calls": len(seconds)} | {name: round(float(value), 1) for name, value in found.items()}


def markdown(row: dict[str, Any]) -> str:
    """A row of the table in docs/performance.md."""
    service = row["service_ms"]
    cells = [
        f"{row['width']}x{row['height']}",
        f"{row['limit']:g} s" if row["limit"] else "none",
        f"{row['latency_s']['median']:.2f} ({row['latency_s']['p95']:.2f})",
        f"{row['latency_over_render']:.2f}",
        f"{row['renders_per_second']:.2f}",
        *(f"{row[name]:.1%}" for name in ("share_of_pixels", "share_received", "share_handled")),
        f"{service['median']:.0f} ({service['p95']:.0f}, {service['worst']:.0f})",
        f"{row['service_over_idle']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _messages(frame: Frame) -> tuple[Image, CameraInfo, TransformStamped]:
    header = Header(frame_id=OPTICAL)
    transform = transform_of_matrix(frame.camera.world_pose)
    return (
        image_message(header, frame.image.numpy(), "rgb8"),
        camera_info_message(Header(frame_id=OPTICAL), frame.camera),
        TransformStamped(header=Header(frame_id="map"), child_frame_id=OPTICAL, transform=transform),
    )


if __name__ == "__main__":
    main(tyro.cli(Measure))
