"""What errors of the source views' poses cost: depth, labels and map, over noise and over late poses.

    python benchmarks/pose_noise.py --json benchmarks/timings/pose_noise.json --plot docs/performance/pose_noise.png

Three kinds of error, each by itself. `centimeters`: each source's position is off by so much in a random direction.
`degrees`: each source is turned by so much about a random axis. `milliseconds`: each source has the pose of so long
before its picture, as if stamp and pose disagreed by that; the path is walked at 0.5 m/s, or turned along at 30
degrees/s, whichever is slower. Targets keep their true poses, and are scored as by `sray evaluate`. RGB, or --depth.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import tyro
from measuring import one_thread
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from sray.checkpoint import Checkpoint
from sray.field import SemanticField
from sray.frames import Frame
from sray.render_config import RenderConfig
from sray_train.cli.options import DEFAULT_CHECKPOINT
from sray_train.data.chosen_scenes import chosen_scenes
from sray_train.data.config import DataConfig
from sray_train.data.scene import Scene
from sray_train.learn.systems import load_checkpoint
from sray_train.records import write_record
from sray_train.score.evaluate import Query, evaluate, spread_queries

LEVELS: dict[str, tuple[float, ...]] = {
    "centimeters": (0, 1, 2, 4),
    "degrees": (0, 0.5, 1, 2),
    "milliseconds": (0, 20, 40, 80),
}
SHOWN = {
    "strict_miou": "strict mIoU",
    "depth_within_1_25": "depth within 1.25",
    "depth_within_1_05": "depth within 1.05",
    "map_f_score_5cm": "map F-score at 5 cm",
}
KEPT = (*SHOWN, "depth_abs_rel", "depth_median_error", "psnr", "pictures")
METERS_PER_SECOND, DEGREES_PER_SECOND = 0.5, 30.0
"""How fast the path is walked and turned along: a hand-held camera, or a robot, at ease."""


@dataclass
class Measure:
    """Render the same targets from sources whose poses err more and more."""

    checkpoint: Path = DEFAULT_CHECKPOINT
    seeds: tuple[str, ...] = ("9000:9004",)
    """Rooms."""
    sequence: Path | None = None
    """A recording instead."""
    targets: int = 2
    """Pictures rendered a scene."""
    views: int = 8
    depth: bool = False
    """RGB-D: the sources' depth guides the samples."""
    quality: str = "balanced"
    width: int = 320
    frames: int = 12
    """Frames a scene."""
    seed: int = 0
    """Of the noise. Every level of a kind has the same directions, longer or shorter."""
    json: Path = Path("results/pose_noise.json")
    plot: Path | None = None
    redraw: bool = False
    """Measure nothing: draw what --json has."""


def main(measure: Measure) -> None:
    if measure.redraw:
        record: dict[str, Any] = json.loads(measure.json.read_text())
    else:
        record = measured(measure)
        write_record(measure.json, record)
    if measure.plot is not None:
        draw(record, measure.plot)


def measured(measure: Measure) -> dict[str, Any]:
    """All levels of all kinds."""
    one_thread()
    checkpoint = load_checkpoint(measure.checkpoint)
    space = checkpoint.label_space
    data = DataConfig(width=measure.width, height=measure.width * 3 // 4, frames=measure.frames, label_space=space.name)
    seeds = () if measure.sequence else measure.seeds
    scenes = chosen_scenes(data, space, seeds=seeds, sequence=measure.sequence)
    curves: dict[str, list[dict[str, Any]]] = {}
    for kind, levels in LEVELS.items():
        for level in levels:
            known = next((rows[0] for rows in curves.values()), None) if level == 0 else None
            row = known or scored(measure, checkpoint, [with_errors(scene, kind, level, measure) for scene in scenes])
            curves.setdefault(kind, []).append({**row, "level": level})
            shown = ", ".join(f"{name} {row[key]:.3f}" for key, name in SHOWN.items())
            print(f"{level:g} {kind}: {shown}", flush=True)
    return {
        "checkpoint": checkpoint.sha256,
        "scenes": [scene.name for scene in scenes],
        "input": "RGB-D" if measure.depth else "RGB",
        "views": measure.views,
        "size": [scenes[0].cameras.width, scenes[0].cameras.height],
        "meters_per_second": METERS_PER_SECOND,
        "degrees_per_second": DEGREES_PER_SECOND,
        "curves": curves,
    }


def scored(measure: Measure, checkpoint: Checkpoint, scenes: list[Scene]) -> dict[str, Any]:
    """Scores of the targets. The second half of a scene's frames are the first half again, with poses that err."""
    queries = [
        Query(scene, query.target, tuple(len(scene.frames) // 2 + source for source in query.sources))
        for scene in scenes
        for query in spread_queries(first_half(scene), measure.targets, measure.views)
    ]
    field = SemanticField(checkpoint.model, RenderConfig.preset(measure.quality))
    record = evaluate(field, queries, checkpoint.label_space, depth=measure.depth).record()
    return {name: record[name] for name in KEPT}


def first_half(scene: Scene) -> Scene:
    half = len(scene.frames) // 2
    return replace(scene, frames=scene.frames[:half], cameras=scene.cameras[torch.arange(half)])


def with_errors(scene: Scene, kind: str, level: float, measure: Measure) -> Scene:
    """The scene's frames, and then all of them again with poses that err."""
    poses = scene.cameras.world_from_camera.double().numpy()
    erring = ERRORS[kind](poses, level, np.random.default_rng(measure.seed))
    frames: list[Frame] = list(scene.frames)
    moved = torch.from_numpy(erring).float()
    frames += [
        replace(frame, camera=replace(frame.camera, world_from_camera=pose))
        for frame, pose in zip(frames, moved, strict=True)
    ]
    cameras = replace(
        scene.cameras,
        intrinsics=scene.cameras.intrinsics.repeat(2, 1, 1),
        world_from_camera=torch.cat([scene.cameras.world_from_camera, moved]),
    )
    return replace(scene, frames=frames, cameras=cameras)


def shifted(poses: NDArray[np.float64], centimeters: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Poses (n, 4, 4) whose positions are off by so much, each in a direction of its own."""
    moved = poses.copy()
    moved[:, :3, 3] += centimeters / 100 * _directions(len(poses), random)
    return moved


def turned(poses: NDArray[np.float64], degrees: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Poses turned about their own centers by so much, each about an axis of its own."""
    axes = Rotation.from_rotvec(np.radians(degrees) * _directions(len(poses), random)).as_matrix()
    moved = poses.copy()
    moved[:, :3, :3] = poses[:, :3, :3] @ axes
    return moved


def late(poses: NDArray[np.float64], milliseconds: float, random: np.random.Generator) -> NDArray[np.float64]:
    """The poses of so long before, along the path. Before its first pose: the first."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) / METERS_PER_SECOND
    rotations = Rotation.from_matrix(poses[:, :3, :3])
    turns = np.degrees((rotations[:-1].inv() * rotations[1:]).magnitude()) / DEGREES_PER_SECOND
    times = np.concatenate([[0.0], np.cumsum(np.maximum(np.maximum(steps, turns), 1e-6))])
    asked = np.clip(times - milliseconds / 1000, 0, None)
    moved = poses.copy()
    moved[:, :3, :3] = Slerp(times, rotations)(asked).as_matrix()
    moved[:, :3, 3] = np.stack([np.interp(asked, times, poses[:, axis, 3]) for axis in range(3)], axis=1)
    return moved


ERRORS: dict[str, Callable[[NDArray[np.float64], float, np.random.Generator], NDArray[np.float64]]] = {
    "centimeters": shifted,
    "degrees": turned,
    "milliseconds": late,
}


def _directions(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    drawn = random.normal(size=(count, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def draw(record: dict[str, Any], path: Path) -> None:
    """A panel a kind of error, a line a score."""
    figure, axes = plt.subplots(1, len(LEVELS), figsize=(10, 3.2), sharey=True, layout="constrained")
    for axis, (kind, rows) in zip(axes, record["curves"].items(), strict=True):
        for name, label in SHOWN.items():
            if all(row[name] is not None for row in rows):
                axis.plot([row["level"] for row in rows], [row[name] for row in rows], marker="o", label=label)
        axis.set_xlabel({"centimeters": "position off, cm", "degrees": "turned, degrees"}.get(kind, "pose late, ms"))
        axis.set_ylim(0, 1)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(SHOWN), fontsize=8)
    pictures = record["curves"]["centimeters"][0]["pictures"]
    figure.suptitle(f"{record['input']}, {pictures} pictures of {len(record['scenes'])} scenes", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main(tyro.cli(Measure, description=__doc__))
