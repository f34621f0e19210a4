"""`sray view`: look around in a session, or in a recording while it is being mapped, with a browser. No ROS."""

from __future__ import annotations

import os
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from rich.console import Console

from sray.checkpoint import Checkpoint, load_checkpoint
from sray.errors import FileError, ModelError
from sray.frames import Frame
from sray.label_space import LABEL_SPACES
from sray.mapping.keyframes import KeyframeConfig
from sray.mapping.mapper_config import MapperConfig
from sray.mapping.session import Session
from sray.mapping.session_reader import is_session
from sray.mapping.voxel_map import CONFIRMED
from sray.model import SemanticRay
from sray.recorded_bag import is_bag
from sray.viewing.export import write_page
from sray.viewing.local_source import Feed, LocalSource
from sray.viewing.viewer import Viewer
from sray_train.cli.options import CheckpointOptions, RunOptions, at_least
from sray_train.machine import chosen_device, use_threads
from sray_train.tools.bags.converting import ChosenFrames, open_scene


@dataclass
class View(RunOptions, CheckpointOptions):
    """Fly through a session or a recording in a browser: map, keyframes, and what a camera there would see."""

    what: tyro.conf.Positional[Path]
    """A session (.safetensors) that the mapper saved, or a recording: a folder in ScanNet's layout, a .sens file."""
    host: str = "127.0.0.1"
    """Who may look: 127.0.0.1 this machine alone, 0.0.0.0 everybody on the network. There is no password."""
    port: int = 8080
    """0: any that is free."""
    open: bool = True
    """Open the page in this machine's browser, where it has one."""
    export: Path | None = None
    """Write the map as one HTML file that opens without a server, and end."""
    output: Path = Path("results/view")
    """Folder in which the page saves sessions and maps."""
    frames: int = 0
    """Of a recording, at most, evenly thinned; 0: all."""
    width: int = 320
    """Of a recording's pictures; larger ones are shrunk. 0: as they are."""
    depth: bool = True
    """RGB-D: where a recording has depth, it guides the samples. --no-depth: RGB."""
    keyframes: int = 256
    """Keyframes held at most."""
    voxel_size: float = 0.05
    """Meters, of a recording's map."""
    time_limit: tyro.conf.Suppress[float] = 0.0
    """Seconds after which it ends by itself; 0: with Ctrl-C."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port is {self.port}; expected 0 to 65535")
        at_least(2, keyframes=self.keyframes)
        at_least(0, frames=self.frames, width=self.width)
        super().__post_init__()

    def main(self) -> None:
        use_threads(self.threads)
        console = Console(highlight=False, soft_wrap=True)
        console.print(f"making {self.what} ready to be looked at")  # some seconds: every keyframe is encoded
        checkpoint = load_checkpoint(self.checkpoint)
        checkpoint.model.to(chosen_device(self.device))
        source = self._source(checkpoint)
        try:
            if self.export is not None:
                self._export(source, self.export, console)
            else:
                self._serve(source, console)
        finally:
            source.close()

    def _source(self, checkpoint: Checkpoint[SemanticRay]) -> LocalSource:
        path = self.what.expanduser()
        if not path.exists():
            raise FileError(f"{path} does not exist", "a session or a recording")
        title = f"{path.resolve().parent.name}/{path.stem}" if path.is_file() else path.resolve().name
        if is_session(path):
            return LocalSource.of_session(checkpoint, Session.load(path), title, self.output)
        if is_bag(path):
            raise FileError(
                f"{path} is a rosbag2",
                "a session or a recording",
                f"Play it into the mapper with a viewer: ros2 launch sray_ros semantic_mapping.launch.py bag:={path} "
                "viewer:=true",
            )
        space = checkpoint.label_space.name
        if space not in LABEL_SPACES:
            raise ModelError(
                f"{self.checkpoint} is of label space {space}",
                f"one of {', '.join(LABEL_SPACES)} to read a recording's labels",
                "Look at a session instead",
            )
        recording = open_scene(path, "auto", space, "auto")
        stride = max(1, -(-len(recording) // self.frames)) if self.frames else 1
        chosen = ChosenFrames(recording, stride)
        shown = replace(CONFIRMED, voxel_size=self.voxel_size)
        config = MapperConfig(KeyframeConfig(capacity=self.keyframes), map=shown)
        source = LocalSource(checkpoint, config, title, self.output)
        source.feed(Feed(self._prepared(chosen), len(range(0, len(recording), stride))))
        return source

    def _prepared(self, frames: ChosenFrames) -> Iterator[Frame]:
        for frame in frames:
            camera = frame.camera
            if 0 < self.width < camera.width:
                frame = frame.resized(self.width, max(1, round(camera.height * self.width / camera.width)))
            yield frame if self.depth else replace(frame, depth=None)

    def _serve(self, source: LocalSource, console: Console) -> None:
        with Viewer(source, self.host, self.port) as viewer:
            console.print(f"{source.title}: open {viewer.address} in a browser; Ctrl-C ends the viewer")
            if self.open and os.environ.get("DISPLAY"):
                webbrowser.open(viewer.address)
            ends = time.monotonic() + self.time_limit if self.time_limit else float("inf")
            while time.monotonic() < ends:
                time.sleep(min(0.5, max(0.0, ends - time.monotonic())))

    def _export(self, source: LocalSource, path: Path, console: Console) -> None:
        if path.exists():
            raise FileError(f"{path} exists", "a free name", "Give another --export")
        with console.status("mapping"):
            source.finish()
        with Viewer(source, "127.0.0.1", 0) as viewer:
            write_page(viewer, path)
        console.print(f"{source.status().text}: {path}, {path.stat().st_size / 1e6:.1f} MB, opens without a server")
