"""What looking around costs: latency of small and full pictures, memory with a large map, how much slower mapping is.

    python benchmarks/viewer.py --json benchmarks/timings/viewer.json

A generated room, 40 frames of 160x120 without depth, as in `make demo`. The camera flies between the keyframes, ten
places a second, and rests now and then, as a hand on a mouse does. Latency is counted from the browser's word of its
camera to the picture being handed to its connection. `cost` is the CPU time of one thread: what a picture takes on a
core that nobody else wants. With a Chromium on the machine, memory is measured with one looking.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import tyro
from measuring import facts, percentiles, write
from process_facts import footprint

from sray.camera import Camera
from sray.checkpoint import load_checkpoint
from sray.frames import Frame
from sray.label_space import ROOMS
from sray.mapping.cloud import LabeledCloud
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.voxel_map import VoxelMap, VoxelMapConfig
from sray.viewing.camera_path import interpolated
from sray.viewing.local_source import Feed, LocalSource
from sray.viewing.painter import Painter, Viewpoint
from sray.viewing.source import Source
from sray.viewing.viewer import Viewer
from sray_train.data.rooms import FIRST_HELD_OUT_SEED, room_frames

ROOT = Path(__file__).resolve().parents[1]
CONFIG = MapperConfig(KeyframeConfig(min_translation=0.05, min_rotation=3.0))
STEP = 0.1
"""Seconds between two places of the moving camera."""
FLIGHT, REST = 1.0, 4.0
"""Seconds of flying, and of resting after it."""
FOV, ASPECT = 1.0, 16 / 9


@dataclass
class ViewerBenchmark:
    """Measure, print, and keep as a record."""

    json: Path | None = None
    checkpoint: Path = ROOT / "test" / "trained" / "resunet_rooms.safetensors"
    frames: int = 40
    rests: int = 12
    """How often the camera flies for a second, and rests until its full picture is there."""
    voxels: int = 500_000
    threads: int = 2

    def main(self) -> None:
        torch.set_num_threads(self.threads)
        frames = list(room_frames(FIRST_HELD_OUT_SEED, width=160, height=120, frames=self.frames))
        frames = [replace(frame, depth=None, stamp_ns=number + 1) for number, frame in enumerate(frames)]
        with TemporaryDirectory() as folder:
            alone = self._map(frames, Path(folder), is_watched=False)
            watched = self._map(frames, Path(folder), is_watched=True)
            source, _ = self._source(frames, Path(folder))
            source.finish()
            cost = self._cost(source)
            latency = self._fly(source)
            memory = self._memory(source)
        record = {
            **facts("what does looking around cost?", self.rests),
            "clock": "wall time of a machine as busy as load_before says; cpu_seconds: of the whole process",
            "picture": f"240 rows, {ASPECT:.2f} as wide, 8 views of 160x120, RGB",
            "cost": cost,
            "latency": latency,
            "mapping": {"frames": len(frames), "alone_s": alone, "watched_s": watched, "ratio": watched / alone},
            "memory": memory,
        }
        for name in ("cost", "latency", "mapping", "memory"):
            print(name, record[name])
        write(self.json, record)

    def _source(self, frames: list[Frame], folder: Path) -> tuple[LocalSource, float]:
        source = LocalSource(load_checkpoint(self.checkpoint), CONFIG, "room", folder)
        begun = time.monotonic()
        source.feed(Feed(frames, len(frames)))
        return source, begun

    def _map(self, frames: list[Frame], folder: Path, *, is_watched: bool) -> float:
        """Seconds until all frames are mapped; watched by a camera that flies and rests."""
        source, begun = self._source(frames, folder)
        ended = threading.Event()
        path = interpolated(Camera.stack([frame.camera for frame in frames]), 4)
        painter = a_painter(source)
        thread = threading.Thread(target=fly, args=(painter, path, ended))
        if is_watched:
            thread.start()
        source.finish()
        seconds = time.monotonic() - begun
        ended.set()
        if is_watched:
            thread.join()
        painter.close()
        source.close()
        return seconds

    def _cost(self, source: LocalSource) -> list[dict[str, Any]]:
        """CPU seconds of pictures by their rows, from places between the keyframes."""
        torch.set_num_threads(1)
        path = interpolated(Camera.stack([keyframe.camera for keyframe in source.keyframes()]), 1)[1::2]
        costs = []
        for rows, is_preview in ((24, True), (36, True), (54, True), (72, True), (90, True), (240, False)):
            seconds = []
            for place in path[: self.rests]:
                camera = viewpoint_of(place).camera(round(rows * rows * ASPECT))
                begun = time.thread_time()
                source.render(camera, is_preview=is_preview)
                seconds.append(time.thread_time() - begun)
            costs.append({"rows": rows, "quality": "fast" if is_preview else "balanced", **percentiles(seconds)})
        torch.set_num_threads(self.threads)
        return costs

    def _fly(self, source: LocalSource) -> dict[str, Any]:
        painter = a_painter(source)
        path = interpolated(Camera.stack([keyframe.camera for keyframe in source.keyframes()]), 4)
        places = itertools.cycle([*path, *reversed(path)])
        begun = time.process_time()
        for _ in range(self.rests):
            for _ in range(10):
                painter.look(viewpoint_of(next(places)))
                time.sleep(STEP)
            count = len(painter.latency.full)
            while len(painter.latency.full) == count:
                time.sleep(0.01)
        spent = time.process_time() - begun
        told = {
            "preview": percentiles([*painter.latency.preview]),
            "full": percentiles([*painter.latency.full]),
            "preview_pixels": painter.preview_pixels,
            "canceled": painter.canceled,
            "cpu_seconds": round(spent, 1),
        }
        painter.close()
        return told

    def _memory(self, source: LocalSource) -> dict[str, Any]:
        """Of this process, and of the browser that looks, before and after a map of so many voxels."""
        before = footprint(os.getpid())["pss_mb"]
        source._mapper.map = a_large_map(self.voxels)
        held = footprint(os.getpid())["pss_mb"]
        told: dict[str, Any] = {"voxels": len(source.map()), "map_mb": round(held - before, 1)}
        with Viewer(source, port=0) as viewer:
            while sum(viewer.counts.values()) < len(source.map()):
                time.sleep(0.2)
            told["viewer_mb"] = round(footprint(os.getpid())["pss_mb"] - held, 1)
            sys.path.insert(0, str(ROOT / "test"))
            from browser import browsing, chromium

            if chromium() is not None:
                with browsing() as browser:
                    page = browser.page(viewer.address)
                    page.until(lambda: viewer.visitors, "the browser", 300)
                    page.until(lambda: "Look from outside" in page.text, "the panel", 300)
                    page.click("Look from outside")
                    time.sleep(15.0)
                    told["browser_mb"] = round(browser.memory_mb(), 1)
                    told["viewer_with_browser_mb"] = round(footprint(os.getpid())["pss_mb"] - held, 1)
        return told


def a_painter(source: Source) -> Painter:
    return Painter(
        lambda camera, is_preview, canceled: source.render(camera, is_preview=is_preview, canceled=canceled),
        lambda answer, is_full: None,
        lambda error: None,
        lambda: round(240 * 240 * ASPECT),
    )


def fly(painter: Painter, path: Sequence[Camera], ended: threading.Event, rest: float = REST) -> None:
    """Along the path and back for a second, then rest for so many, until it is ended."""
    places = itertools.cycle([*path, *reversed(path)])
    while not ended.is_set():
        for _ in range(round(FLIGHT / STEP)):
            painter.look(viewpoint_of(next(places)))
            ended.wait(STEP)
        ended.wait(rest)


def viewpoint_of(camera: Camera) -> Viewpoint:
    return Viewpoint(camera.world_from_camera.double().numpy(), FOV, ASPECT, camera.origin)


def a_large_map(voxels: int) -> VoxelMap:
    """The floor of a hall, in stripes of all classes."""
    side = int(np.ceil(voxels**0.5))
    rows, columns = np.divmod(np.arange(voxels), side)
    points = np.stack([columns, rows, np.zeros(voxels)], axis=-1).astype(np.float32) * np.float32(0.05) + 0.02
    labels = (rows // 8 % ROOMS.classes).astype(np.uint8)
    cloud = LabeledCloud(points, ROOMS.colorize(labels), labels, np.ones(voxels, np.float32))
    made = VoxelMap(ROOMS.classes, VoxelMapConfig(max_voxels=voxels))
    made.integrate(cloud)
    return made


if __name__ == "__main__":
    tyro.cli(ViewerBenchmark).main()
