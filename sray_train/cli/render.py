"""`sray render`: a path through a scene as pictures, a video, a labeled cloud."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from sray.checkpoint import Checkpoint
from sray.field import SemanticField
from sray.label_space import LabelSpace
from sray.mapping.cloud import cloud_of_view, write_ply
from sray.mapping.mapper_config import CloudConfig
from sray.mapping.voxel_map import VoxelMap, VoxelMapConfig
from sray.render_config import RenderConfig
from sray_train.cli.options import CheckpointOptions, RunOptions, SceneOptions, at_least, need_depth
from sray_train.data.config import DataConfig
from sray_train.data.scene import Scene
from sray_train.learn.config import Quality
from sray_train.learn.systems import load_checkpoint
from sray_train.machine import chosen_device, use_threads
from sray_train.tools.rendering.camera_path import PathRenderer, Stop, fly_through, recorded_path
from sray_train.tools.rendering.path_video import write_video
from sray_train.tools.rendering.render_folder import RenderFolder


@dataclass
class Render(RunOptions, SceneOptions, CheckpointOptions):
    """Render a path through a scene: color, labels and depth of every place on it. Stopped, it goes on when run again.

    Without --frames-between, the path is the recorded cameras, each rendered from other frames than its own.
    """

    frames_between: int | None = None
    """Fly smoothly through the recorded cameras, with so many pictures between each and the next."""
    output: Path = Path("results/render")
    """A folder a scene in it: color/ labels/ label_colors/ depth/ render.json. Pictures that are there are kept."""
    video: bool = False
    """Also video.mp4: color, labels and depth side by side."""
    rate: float = 10.0
    """Pictures a second of the video."""
    ply: bool = False
    """Also cloud.ply: the labeled points of all pictures, fused into voxels."""
    voxel_size: float = 0.03
    """Meters."""
    scale: float = 1.0
    """Size of the pictures over that of the sources."""
    quality: Quality = "balanced"
    """Rays and samples spent on a picture: RenderConfig.preset."""
    views: int = 8
    """Source views a picture."""
    include_own: bool = False
    """A recorded camera may use its own frame: a smoother flight, and no test of anything."""
    depth: bool = False
    """RGB-D: the sources' depth guides the samples. Without: RGB."""
    overwrite: bool = False
    """Remove pictures of other settings from the output."""

    def __post_init__(self) -> None:
        self.need_scenes()
        if self.frames_between is not None and self.frames_between < 0:
            raise ValueError(f"frames-between is {self.frames_between}; expected 0 or more")
        for name in ("scale", "rate", "voxel_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected more than 0")
        at_least(1, views=self.views)
        super().__post_init__()

    def main(self) -> None:
        use_threads(self.threads)
        checkpoint = load_checkpoint(self.checkpoint)
        data = self.data(DataConfig(frames=0) if self.sequence else DataConfig(), checkpoint.label_space)
        scenes = self.scenes(data, checkpoint.label_space)
        if self.depth:
            need_depth(scenes, "--depth")
        device = chosen_device(self.device)
        field = SemanticField(checkpoint.model.to(device), RenderConfig.preset(self.quality))
        for scene in scenes:
            self._render(field, checkpoint, scene)

    def _render(self, field: SemanticField, checkpoint: Checkpoint, scene: Scene) -> None:
        stops = recorded_path(scene) if self.frames_between is None else fly_through(scene, self.frames_between)
        renderer = PathRenderer(field, scene, self.views, depth=self.depth, include_own=self.include_own)
        settings = self._settings(checkpoint, scene, stops)
        folder = RenderFolder.prepare(
            self.output / scene.name, checkpoint.label_space, settings, overwrite=self.overwrite
        )
        waiting = [number for number in range(len(stops)) if not folder.has(number)]
        console = Console()
        if len(waiting) < len(stops):
            console.print(f"{scene.name}: {len(stops) - len(waiting)} of {len(stops)} pictures are there already")
        for number in track(waiting, f"render {scene.name}", console=console, transient=True):
            folder.write(number, renderer.render(stops[number], self.scale))
        made = ["color/ labels/ label_colors/ depth/"]
        if self.video:
            write_video(folder.path / "video.mp4", folder, range(len(stops)), self.rate)
            made.append("video.mp4")
        if self.ply:
            points = _write_cloud(folder, stops, self.scale, self.voxel_size)
            made.append(f"cloud.ply ({points} points)")
        console.print(f"{folder.path}: {len(stops)} pictures; {', '.join(made)}", highlight=False, soft_wrap=True)

    def _settings(self, checkpoint: Checkpoint, scene: Scene, stops: list[Stop]) -> dict[str, Any]:
        """All that decides what the pictures show."""
        return {
            "checkpoint": checkpoint.sha256,
            "scene": scene.name,
            "source_frames": len(scene.frames),
            "source_size": [scene.cameras.width, scene.cameras.height],
            "views": self.views,
            "include_own": self.include_own,
            "input": "RGB-D" if self.depth else "RGB",
            "quality": self.quality,
            "scale": self.scale,
            "bounds": list(scene.bounds),
            "classes": list(checkpoint.label_space.names),
            "cameras": [
                {
                    "own_frame": stop.own,
                    "intrinsics": stop.camera.intrinsics.tolist(),
                    "world_from_camera": stop.camera.world_pose.tolist(),
                }
                for stop in stops
            ],
        }


def _write_cloud(folder: RenderFolder, stops: list[Stop], scale: float, voxel_size: float) -> int:
    space: LabelSpace = folder.label_space
    fused = VoxelMap(space.classes, VoxelMapConfig(voxel_size=voxel_size))
    for number, stop in enumerate(stops):
        size = (max(1, round(stop.camera.width * scale)), max(1, round(stop.camera.height * scale)))
        view = folder.read(number, stop.camera.resized(*size))
        fused.integrate(cloud_of_view(view, max_jump=CloudConfig.max_jump))
    cloud = fused.to_cloud()
    write_ply(folder.path / "cloud.ply", cloud, space)
    return len(cloud)
