"""What a render costs against resolution, source views, samples and keyframes. Seconds are medians of a few renders."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sray.camera import Camera
from sray.field import RenderConfig, SemanticField
from sray.model import SemanticRay
from sray.view_selection import select_views
from sray_train.data.scene import Scene
from sray_train.tools.bench.levels import render_level
from sray_train.tools.bench.memory import render_memory
from sray_train.tools.bench.scenes import SEED, BenchView, bench_view
from sray_train.tools.bench.timing import timed

LEVEL = "balanced"
SIZES = ((160, 120), (320, 240), (640, 480), (1280, 960), (1920, 1440))
LARGEST_TIMED = 1280
"""Wider images are measured for memory alone."""
VIEW_COUNTS = (1, 2, 4, 8, 12, 16)
FINE_SAMPLES = (4, 8, 16, 32, 64)
KEYFRAMES = (10, 30, 100, 300, 1000, 3000, 10_000)
REPETITIONS = 3

Point = dict[str, Any]


@dataclass(frozen=True)
class Scaling:
    """One scene, one target, level `balanced`; each sweep is a list of points {x, seconds, seconds_depth, ...}."""

    model: SemanticRay
    checkpoint: Path
    scene: Scene
    target: int
    view_count: int
    source_size: tuple[int, int]
    longest_seconds: float = 60.0
    """A render that would take longer, judged by the point before it, is left out and said so."""
    on_progress: Callable[[str], None] = print

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def record(self) -> dict[str, Any]:
        """`scaling` of the JSON."""
        return {
            "level": LEVEL,
            "resolution": self.resolution(),
            "views": self.views(),
            "fine_samples": self.fine_samples(),
            "keyframes": self.keyframes(),
        }

    def resolution(self) -> list[Point]:
        """x: pixels. Memory also without the picture that is handed over, which must grow with the image."""
        view, points = self._view(self.view_count), list[Point]()
        per_pixel = 0.0
        for width, height in SIZES:
            camera = view.truth.camera.resized(width, height)
            pixels = width * height
            point: Point = {"x": pixels, "width": width, "height": height, "seconds": None, "seconds_depth": None}
            if width <= LARGEST_TIMED and per_pixel * pixels <= self.longest_seconds:
                point |= self._seconds(RenderConfig.preset(LEVEL), view, camera)
                per_pixel = max(point["seconds"], point["seconds_depth"]) / pixels
            if per_pixel * pixels <= 2 * self.longest_seconds:
                peak = render_memory(self.checkpoint, view, LEVEL, self.device, size=(width, height))
                point["peak_mb"] = peak
                point["peak_mb_without_picture"] = None if peak is None else max(0.0, peak - _picture_mb(pixels))
            self._say("resolution", f"{width}x{height}", point)
            points.append(point)
        return points

    def views(self) -> list[Point]:
        """x: source views."""
        points = []
        for count in VIEW_COUNTS:
            if count < len(self.scene.frames):
                view = self._view(count)
                points.append({"x": count} | self._seconds(RenderConfig.preset(LEVEL), view, view.truth.camera))
                self._say("views", str(count), points[-1])
        return points

    def fine_samples(self) -> list[Point]:
        """x: fine samples a ray, the other parameters of the level as they are."""
        view, points = self._view(self.view_count), []
        for count in FINE_SAMPLES:
            config = replace(RenderConfig.preset(LEVEL), fine_samples=count)
            points.append({"x": count} | self._seconds(config, view, view.truth.camera))
            self._say("fine samples", str(count), points[-1])
        return points

    def keyframes(self) -> list[Point]:
        """x: keyframes to choose the sources from; `select_seconds` is the choice, `seconds` choice and render."""
        view, points = self._view(self.view_count), []
        camera = view.truth.camera
        # The render does not know how many there were to choose from: it is measured once.
        rendered = self._seconds(RenderConfig.preset(LEVEL), view, camera)
        for count in KEYFRAMES:
            pool = crowd(self.scene.cameras, count)
            select_views(camera, pool, self.view_count)  # warm up
            chosen = []
            for _ in range(REPETITIONS):
                began = time.perf_counter()
                select_views(camera, pool, self.view_count)
                chosen.append(time.perf_counter() - began)
            choice = statistics.median(chosen)
            totals = {name: value + choice for name, value in rendered.items()}
            points.append({"x": count, "select_seconds": choice} | totals)
            self._say("keyframes", str(count), points[-1])
        return points

    def _view(self, count: int) -> BenchView:
        generator = torch.Generator().manual_seed(SEED)
        return bench_view(SemanticField(self.model), self.scene, self.target, count, 1, self.source_size, generator)

    def _seconds(self, config: RenderConfig, view: BenchView, camera: Camera) -> dict[str, float]:
        """RGB and RGB-D in turn. One render where it takes long."""
        spent: dict[str, list[float]] = {"seconds": [], "seconds_depth": []}
        for _ in range(REPETITIONS):
            for name, seconds in spent.items():
                if sum(seconds) < 5:
                    depth = name == "seconds_depth"
                    spent_now, _ = timed(
                        partial(render_level, self.model, config, view, camera, depth=depth), self.device
                    )
                    seconds.append(spent_now)
        return {name: statistics.median(seconds) for name, seconds in spent.items()}

    def _say(self, sweep: str, x: str, point: Point) -> None:
        seconds = point["seconds"]
        self.on_progress(f"{sweep} {x}: {'not timed' if seconds is None else f'{seconds:.2f} s'}")


def crowd(cameras: Camera, count: int) -> Camera:
    """So many cameras: the given ones again and again, moved a little each time (up to about 1 m)."""
    generator = torch.Generator().manual_seed(SEED)
    index = torch.arange(count) % cameras.world_from_camera.shape[0]
    poses = cameras.world_from_camera.cpu()[index].clone()
    rounds = math.ceil(count / cameras.world_from_camera.shape[0])
    moved = torch.rand(count, 3, generator=generator) - 0.5
    poses[:, :3, 3] += moved * (2 / math.sqrt(3) * (rounds > 1))
    return Camera(cameras.intrinsics.cpu()[index], poses, cameras.width, cameras.height)


def _picture_mb(pixels: int) -> float:
    """A RenderedView: labels and coverage a byte each, confidence, depth, opacity and three colors four each."""
    return pixels * 26 / 1e6
