"""What somebody who looks around costs a robot: label images a second, alone and while a viewer asks for views.

    python benchmarks/viewer_over_ros.py --json benchmarks/timings/viewer_over_ros.json

A camera at 30 Hz in this process, the real mapper in another, which renders every image it can (`trigger: timer`) and
answers requests in turn. The viewer's own source and painter ask, over DDS, as for one browser: not at all;
flying for one second in five; flying all the time. No browser draws: that is another machine's work. The three take
turns, as a machine is never equally busy for long, and labels are counted for each second of the processor that the
mapper got: it has always something to render, so that is its rate on a core of its own, whoever else there is.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from measuring import facts, percentiles, write
from process_facts import cpu_seconds
from ros_latency import KEYFRAMES, CameraAndListener, filled
from ros_rig import MAPPER, Rig
from viewer import REST, a_painter, fly

from sray.camera import Camera
from sray.viewing.camera_path import interpolated
from sray_ros.viewer.source import MapperSource


@dataclass
class Measure:
    """Measure, print, and keep as a record."""

    json: Path | None = None
    width: int = 160
    height: int = 120
    seconds: float = 20.0
    """Of each turn, after two to settle."""
    rounds: int = 3
    """Turns of each kind."""


def main(measure: Measure) -> None:
    record = facts("how much does a viewer slow a mapper over ROS?", measure.rounds)
    record |= {"clock": "wall time; both kinds of turn on an equally busy machine", "seconds": measure.seconds}
    record |= {"picture": f"{measure.width}x{measure.height}, RGB, {KEYFRAMES} keyframes"}
    resting: dict[str, float | None] = {"nobody": None, "flies one second in five": REST, "flies all the time": 0.0}
    labels: dict[str, list[float]] = {kind: [] for kind in resting}
    latency: dict[str, dict[str, list[float]]] = {kind: {"preview": [], "full": []} for kind in resting}
    with Rig(Path(tempfile.mkdtemp(prefix="viewer_over_ros-"))) as rig:
        process, camera = filled(rig, measure.width, measure.height)
        source = MapperSource(rig.node, f"/{MAPPER}")
        rig.until(lambda: len(source.keyframes()) == KEYFRAMES, 60, "the keyframes told to the viewer")
        path = interpolated(Camera.stack([keyframe.camera for keyframe in source.keyframes()]), 4)
        assert rig.set(trigger="timer") == ""
        stop = threading.Event()
        streaming = threading.Thread(target=camera.stream, args=(KEYFRAMES, 30.0, stop))
        streaming.start()
        try:
            for _ in range(measure.rounds):
                for kind, rest in resting.items():
                    rate, seen = turn(camera, process.pid, source, path, rest, measure.seconds)
                    labels[kind].append(rate)
                    for size, seconds in seen.items():
                        latency[kind][size] += seconds
                    print(f"{kind}: {rate:.2f} label images a second of the processor", flush=True)
        finally:
            stop.set()
            streaming.join()
            source.close()
    alone = np.array(labels["nobody"])
    record["looking"] = {
        kind: {
            "labels_per_cpu_second": round(float(np.median(rates)), 2),
            "share_of_alone": round(float(np.median(np.array(rates) / alone)), 2),
            **{size: percentiles(seconds) for size, seconds in latency[kind].items() if len(seconds) > 1},
        }
        for kind, rates in labels.items()
    }
    for kind, told in record["looking"].items():
        print(kind, told)
    write(measure.json, record)


def turn(
    camera: CameraAndListener,
    mapper: int,
    source: MapperSource,
    path: list[Camera],
    rest: float | None,
    seconds: float,
) -> tuple[float, dict[str, list[float]]]:
    """Label images for each second of the processor that the process `mapper` got; latency of the viewer's pictures.

    `rest`: seconds between the viewer's flights; None: it does not fly.
    """
    painter, ended = a_painter(source), threading.Event()
    flying = threading.Thread(target=fly, args=(painter, path, ended, rest))
    if rest is not None:
        flying.start()
    time.sleep(2.0)
    before, begun = len(camera.labels), cpu_seconds(mapper)
    time.sleep(seconds)
    rate = (len(camera.labels) - before) / (cpu_seconds(mapper) - begun)
    ended.set()
    if rest is not None:
        flying.join()
    seen: dict[str, Any] = {"preview": [*painter.latency.preview], "full": [*painter.latency.full]}
    painter.close()
    return rate, seen


if __name__ == "__main__":
    main(tyro.cli(Measure))
