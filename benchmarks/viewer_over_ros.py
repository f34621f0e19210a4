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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from measuring import facts, write
from process_facts import cpu_seconds
from ros_latency import KEYFRAMES, CameraAndListener, filled
from ros_rig import MAPPER, Rig
from viewer import STEP, a_painter, percentiles, viewpoint_of

from sray.camera import Camera
from sray.viewing.camera_path import interpolated
from sray.viewing.painter import Painter
from sray_ros.viewer.source import MapperSource

FLIGHT, ROUND = 1.0, 5.0
"""Seconds of flying, of so many."""


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
    looking: dict[str, Callable[[Painter, list[Camera], threading.Event], None] | None] = {
        "nobody": None, "flies one second in five": now_and_then, "flies all the time": all_the_time,
    }  # fmt: skip
    labels: dict[str, list[float]] = {kind: [] for kind in looking}
    latency: dict[str, dict[str, list[float]]] = {kind: {"preview": [], "full": []} for kind in looking}
    with Rig(Path(tempfile.mkdtemp(prefix="viewer_over_ros-"))) as rig:
        process = rig.start_mapper(
            keyframes__capacity=KEYFRAMES, keyframes__min_translation=0.0, keyframes__min_rotation=0.0,
            keyframes__min_sharpness=0.0, trigger="request", depth__use=False, model__device="cpu",
        )  # fmt: skip
        camera = filled(rig, measure.width, measure.height)
        source = MapperSource(rig.node, f"/{MAPPER}")
        rig.until(lambda: len(source.keyframes()) == KEYFRAMES, 60, "the keyframes told to the viewer")
        path = interpolated(Camera.stack([keyframe.camera for keyframe in source.keyframes()]), 4)
        assert rig.set(trigger="timer") == ""
        stop = threading.Event()
        streaming = threading.Thread(target=camera.stream, args=(KEYFRAMES, 30.0, stop))
        streaming.start()
        try:
            for _ in range(measure.rounds):
                for kind, fly in looking.items():
                    rate, seen = turn(camera, process.pid, source, path, fly, measure.seconds)
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
    fly: Callable[[Painter, list[Camera], threading.Event], None] | None,
    seconds: float,
) -> tuple[float, dict[str, list[float]]]:
    """Label images for each second of the processor that the process `mapper` got; latency of the viewer's pictures."""
    painter, ended = a_painter(source), threading.Event()
    flying = threading.Thread(target=fly, args=(painter, path, ended)) if fly is not None else None
    if flying is not None:
        flying.start()
    time.sleep(2.0)
    before, begun = len(camera.labels), cpu_seconds(mapper)
    time.sleep(seconds)
    rate = (len(camera.labels) - before) / (cpu_seconds(mapper) - begun)
    ended.set()
    if flying is not None:
        flying.join()
    seen: dict[str, Any] = {"preview": [*painter.latency.preview], "full": [*painter.latency.full]}
    painter.close()
    return rate, seen


def now_and_then(painter: Painter, path: list[Camera], ended: threading.Event) -> None:
    places = iter([*path, *reversed(path)] * 100)
    while not ended.is_set():
        for _ in range(round(FLIGHT / STEP)):
            painter.look(viewpoint_of(next(places)))
            ended.wait(STEP)
        ended.wait(ROUND - FLIGHT)


def all_the_time(painter: Painter, path: list[Camera], ended: threading.Event) -> None:
    places = iter([*path, *reversed(path)] * 1000)
    while not ended.is_set():
        painter.look(viewpoint_of(next(places)))
        ended.wait(STEP)


if __name__ == "__main__":
    main(tyro.cli(Measure))
