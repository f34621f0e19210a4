"""`sray bag`: a scene as a rosbag2, and whether any rosbag2 has what the node needs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import Progress

from sray.label_space import LABEL_SPACES
from sray_train.data.config import LabelIds
from sray_train.records import refuse_existing, write_record
from sray_train.tools.bags import BagEncoding, BagLayout, write_bag
from sray_train.tools.bags.check import check_bag
from sray_train.tools.bags.choosing import Wanted
from sray_train.tools.bags.converting import ChosenFrames, open_scene
from sray_train.tools.bags.launching import launch_line
from sray_train.tools.bags.terminal import show
from sray_train.tools.bags.writing import DepthEncoding, Storage
from sray_train.tools.data_check.opening import Layout


@dataclass
class Bag:
    """Convert a scene to a rosbag2: `sray bag SCENE --output FOLDER`. Or say whether the node can work with a bag,
    anybody's: `sray bag --check BAG`; exit status 1 if it cannot."""

    scene: tyro.conf.Positional[Path | None] = None
    """A ScanNet scene (.sens file, exported folder), a generated room, or a scene of another dataset with poses."""
    output: Path | None = None
    """The new folder of the bag."""
    check: Path | None = None
    """A rosbag2 (its folder, .mcap or .db3) to check instead of converting."""
    storage: Storage = "mcap"
    """How the bag is stored."""
    compressed: bool = False
    """Color as jpeg on <image>/compressed instead of raw."""
    jpeg_quality: int = 90
    """1 to 100, with --compressed."""
    depth_encoding: DepthEncoding = "32FC1"
    """Depth in meters, or in 16 bits of millimeters."""
    frames: int = 0
    """Frames at most; 0: all."""
    stride: int = 1
    """Every how many frames one is taken."""
    dataset: Layout = "auto"
    """The layout of the scene; `auto` goes by the files in it."""
    label_space: str | None = None
    """What the classes mean: a name in sray.label_space.LABEL_SPACES. Converting: the indices written, default indoor.
    Checking: the indices expected, default: what the bag itself says."""
    label_ids: LabelIds = "auto"
    """What label files of ScanNet's layout hold."""
    image: str | None = None
    """Topic of the color pictures. Converting: default /image. Checking, as the following: found by type."""
    camera_info: str | None = None
    """Topic of the calibration."""
    depth: str | None = None
    """Topic of the depth."""
    labels: str | None = None
    """Topic of the ground truth."""
    map_frame: str | None = None
    """Frame the poses are in. Converting: default map. Checking: map, or the root above the camera."""
    slop: float = 0.02
    """Seconds by which matched stamps may differ when checking: the node's sync.slop."""
    json: Path | None = None
    """Checking: also write a record for machines. An existing file is kept unless --overwrite."""
    overwrite: bool = False
    """Replace an existing record."""

    def __post_init__(self) -> None:
        if (self.scene is None) == (self.check is None):
            raise ValueError("expected either SCENE with --output, or --check BAG")
        if self.scene is not None and self.output is None:
            raise ValueError("where to? expected --output and a new folder for the bag")
        if self.label_space is not None and self.label_space not in LABEL_SPACES:
            raise ValueError(f"label space {self.label_space!r}; expected one of {', '.join(LABEL_SPACES)}")
        for name, low in (("frames", 0), ("stride", 1), ("slop", 0)):
            if not getattr(self, name) >= low:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {low}")
        BagEncoding(jpeg_quality=self.jpeg_quality)

    def main(self) -> None:
        if self.check is not None:
            self._check(self.check)
        else:
            assert self.scene is not None and self.output is not None
            self._convert(self.scene, self.output)

    def _convert(self, scene: Path, output: Path) -> None:
        default, space = BagLayout(), self.label_space or "indoor"
        layout = BagLayout(
            image=self.image or default.image,
            camera_info=self.camera_info or default.camera_info,
            depth=self.depth or default.depth,
            labels=self.labels or default.labels,
            map_frame=self.map_frame or default.map_frame,
        )
        encoding = BagEncoding(self.storage, self.jpeg_quality if self.compressed else None, self.depth_encoding)
        recording = open_scene(scene, self.dataset, space, self.label_ids)
        with Progress(transient=True) as progress:
            task = progress.add_task(f"{recording.name} to {output}")
            frames = ChosenFrames(
                recording,
                self.stride,
                self.frames,
                lambda done, of: progress.update(task, completed=done, total=of),
            )
            summary = write_bag(frames, output, layout, encoding, LABEL_SPACES[space])
        for reason, count in frames.left_out.items():
            print(f"{count} frames left out: {reason}")
        if frames.first_complaint:
            print(f"the first of them: {frames.first_complaint}")
        size = sum(path.stat().st_size for path in summary.folder.iterdir()) / 1e6
        seconds = (summary.stamps_ns[-1] - summary.stamps_ns[0]) / 1e9
        extras = [name for name, there in (("depth", summary.has_depth), ("labels", summary.has_labels)) if there]
        print(f"{output}: {summary.frames} frames of {seconds:.1f} s, {size:.1f} MB, {', '.join(['color', *extras])}")
        print(launch_line(summary.folder, layout.image, layout.camera_info, layout.depth if summary.has_depth else None,
                          layout.labels if summary.has_labels else None, layout.map_frame))  # fmt: skip

    def _check(self, bag: Path) -> None:
        if self.json is not None:
            refuse_existing(self.json, "--json", overwrite=self.overwrite)
        wanted = Wanted(self.image, self.camera_info, self.depth, self.labels, self.map_frame)
        with Progress(transient=True) as progress:
            task = progress.add_task(f"reading {bag}")
            result = check_bag(
                bag,
                wanted,
                slop=self.slop,
                label_space=None if self.label_space is None else LABEL_SPACES[self.label_space],
                on_progress=lambda done, of: progress.update(task, completed=done, total=of),
            )
        show(result, Console())
        if self.json is not None:
            write_record(self.json, result.record())
        if not result.works:
            sys.exit(1)
