"""What mapping costs beside the renderer: reading pictures, the keyframe gate, fusing and publishing, at 640x480.

    python benchmarks/mapping_loop.py --json benchmarks/timings/mapping_loop.json

At 30 Hz a frame has 33 ms. A step's name says how often it happens: with each frame, keyframe, render, or second.
A step runs three times in a round, and the median counts: the first finds the caches full of the step before.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch
import tyro
from builtin_interfaces.msg import Time
from measuring import facts, one_thread, summary, three_times, write
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from view_selection import level_poses

from sray.camera import Camera
from sray.camera_info import read_camera_info
from sray.field import RenderedView
from sray.frames import Frame
from sray.label_space import ROOMS
from sray.mapping.cloud import cloud_of_view
from sray.mapping.keyframe_depth import StereoKeeper
from sray.mapping.keyframes import KeyframeBuffer, KeyframeConfig, Verdict
from sray.mapping.mapper import Mapper
from sray.mapping.mapper_config import CloudConfig, MapperConfig, ViewsConfig
from sray.mapping.sources import choose_sources
from sray.mapping.voxel_map import VoxelMap, VoxelMapConfig
from sray.rectification import Rectifier
from sray.stereo import select_partners
from sray_ros.common.conversions import image_message, read_depth, read_image
from sray_ros.mapper.outputs import Publications

WIDTH, HEIGHT, VOXELS, STRIDE = 640, 480, 500_000, 2
K = np.array([[525.0, 0, 319.5], [0, 525.0, 239.5], [0, 0, 1]])
RNG = np.random.default_rng(0)
BUDGET_MS = 1000 / 30
Steps = dict[str, Callable[[], object]]


@dataclass
class Measure:
    """Time each step of the mapping loop, one thread."""

    json: Path | None = None
    """Where the record goes."""
    rounds: int = 15


class Node:
    """Stands in for the node: a publisher that everybody listens to, and that turns messages into bytes."""

    def create_lifecycle_publisher(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(publish=serialize_message, get_subscription_count=lambda: 1)

    def create_publisher(self, *_: object) -> SimpleNamespace:
        return SimpleNamespace(publish=serialize_message)

    def get_clock(self) -> SimpleNamespace:
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=Time))


def conversion_steps() -> Steps:
    picture = cv2.GaussianBlur(RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8), (5, 5), 0)
    image = image_message(Header(), picture, "rgb8")
    depth = image_message(Header(), RNG.integers(500, 4000, (HEIGHT, WIDTH), np.uint16), "16UC1")
    info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model="plumb_bob")
    info.k, info.d = K.reshape(-1).tolist(), [-0.2, 0.05, 0.0, 0.0, 0.0]
    rectifier = Rectifier()

    def color() -> None:
        calibration = read_camera_info(info)
        read = read_image(image)
        rectifier.picture(calibration, read)

    return {
        "frame: picture read, undistorted": color,
        "frame: depth read, undistorted": lambda: rectifier.depth(read_camera_info(info), read_depth(depth)),
    }


def keyframe_steps(keyframes: int) -> Steps:
    """With so many keyframes in a flat of 10 by 10 meters; all with depth."""
    picture = torch.from_numpy(cv2.resize(RNG.integers(0, 256, (60, 80, 3), np.uint8), (WIDTH, HEIGHT)))
    depth = torch.full((HEIGHT, WIDTH), 3.0)
    features = torch.zeros(32, HEIGHT // 4, WIDTH // 4)
    yaw = torch.from_numpy(RNG.uniform(0, 2 * np.pi, keyframes + 1000)).float()
    poses = level_poses(yaw, torch.from_numpy(RNG.uniform(0, (10, 0.4, 10), (len(yaw), 3))).float())
    numbers = iter(range(len(poses)))

    def frame(index: int) -> Frame:
        return Frame(
            picture, Camera(torch.from_numpy(K).float(), poses[index].clone(), WIDTH, HEIGHT), depth, None, index
        )

    keeper = StereoKeeper(None)  # type: ignore[arg-type]  # partners are found from poses alone
    mapper = Mapper(None, ROOMS.classes, MapperConfig(KeyframeConfig(capacity=keyframes)))  # type: ignore[arg-type]
    buffer: KeyframeBuffer = mapper.keyframes
    for _ in range(keyframes):
        buffer.add(frame(next(numbers)), features)
    publications = Publications(Node(), ROOMS, "map")  # type: ignore[arg-type]
    camera = buffer[keyframes // 2].camera
    fresh = frame(keyframes // 2)
    fresh.camera.world_from_camera[0, 3] = 100.0

    def judge(what: Frame, verdict: Verdict) -> None:
        assert buffer.judge(what) is verdict

    def enter() -> None:
        assert buffer.add(frame(next(numbers)), features)

    of = f"of {keyframes} keyframes"
    return {
        f"frame: gate {of}, too close": lambda: judge(buffer[keyframes - 1].frame, Verdict.TOO_CLOSE),
        f"frame: gate {of}, enters": lambda: judge(fresh, Verdict.ENTERS),
        f"keyframe: one {of} leaves for it": enter,
        f"keyframe: all {of} published": lambda: publications.keyframes(mapper),
        f"keyframe: stereo partners {of}": lambda: select_partners(camera, buffer.cameras),
        f"keyframe: which gains by it as a partner {of}": lambda: keeper._most_bettered(buffer, keyframes // 2),
        f"render: near and far {of}": lambda: mapper.bounds(camera),
        f"render: 8 sources {of}": lambda: choose_sources(camera, buffer, ViewsConfig(), keyframes // 2, (0.5, 8.0)),
    }


def map_steps() -> Steps:
    """With a full map; each new place lets as many voxels leave."""
    voxel_map = VoxelMap(ROOMS.classes, VoxelMapConfig(max_voxels=VOXELS))
    while len(voxel_map) < VOXELS:
        voxel_map.integrate(cloud_of_view(view(new_place())))
    known = cloud_of_view(view(torch.eye(4)), STRIDE)
    voxel_map.integrate(known)
    publications = Publications(Node(), ROOMS, "map")  # type: ignore[arg-type]
    mapper = SimpleNamespace(map=voxel_map)
    rendered = view(torch.eye(4))
    new = itertools.cycle(
        [cloud_of_view(view(new_place()), STRIDE) for _ in range(100)]
    )  # forgotten when it starts over

    def publish_map() -> None:
        voxel_map.revision += 1  # an unchanged map is not published again
        publications.map(mapper)

    return {
        "render: cloud of the view": lambda: cloud_of_view(rendered, STRIDE, max_jump=CloudConfig.max_jump),
        "render: fused, at a known place": lambda: voxel_map.integrate(known),
        "render: fused, at a new place": lambda: voxel_map.integrate(next(new)),
        "render: free space carved": lambda: voxel_map.carve(rendered.camera, rendered.depth),
        "render: all images and the cloud published": lambda: publications.view(Header(), rendered, lambda: known),
        "second: the whole map published": publish_map,
    }


def view(pose: torch.Tensor) -> RenderedView:
    """A view of something blocky, 1 to 4 meters away."""
    labels = cv2.resize(RNG.integers(0, 16, (12, 16), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    depth = torch.from_numpy(cv2.resize(RNG.uniform(1, 4, (12, 16)).astype(np.float32), (WIDTH, HEIGHT)))
    share = torch.from_numpy(RNG.random((HEIGHT, WIDTH), np.float32))
    color = torch.from_numpy(RNG.random((HEIGHT, WIDTH, 3), np.float32))
    camera = Camera(torch.from_numpy(K).float(), pose, WIDTH, HEIGHT)
    coverage = torch.full((HEIGHT, WIDTH), 5, dtype=torch.uint8)
    return RenderedView(camera, torch.from_numpy(labels), share, color, depth, share, coverage, depth, torch.ones(3))


def new_place() -> torch.Tensor:
    pose = torch.eye(4)
    pose[:3, 3] = torch.from_numpy(RNG.uniform(-12, 12, 3)).float()
    return pose


def main(measure: Measure) -> None:
    one_thread()
    cv2.setNumThreads(1)
    record = facts("mapping without the renderer, 640x480, map of 500 000 voxels", measure.rounds)
    # A node has rendered before: after a block as large as a render's sources was freed, glibc keeps blocks of a
    # picture's or a map's size for the next step. Fetching them anew takes longer than some steps.
    sources = torch.ones(8, 3, HEIGHT, WIDTH)
    del sources
    steps = conversion_steps() | keyframe_steps(64) | keyframe_steps(10_000) | map_steps()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(measure.rounds + 1):
        for name, step in steps.items():
            median = sorted(three_times(step))[1]
            if turn:  # the first round warms up
                times[name].append(median)
    rows = []
    print(f"{'step':<46} {'ms':>8} {'of 33 ms':>9}")
    for name, spent in times.items():
        row = {"step": name, **summary(spent)}
        row["share_of_budget"] = round(row["median_ms"] / BUDGET_MS, 4)
        rows.append(row)
        print(f"{name:<46} {row['median_ms']:>8.2f} {row['share_of_budget']:>9.1%}")
    write(measure.json, record | {"budget_ms": round(BUDGET_MS, 2), "rows": rows})


if __name__ == "__main__":
    main(tyro.cli(Measure))
