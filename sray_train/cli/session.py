"""`sray session`: what a saved session holds, and its keyframes and map for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sray.errors import FileError
from sray.frames import Frame
from sray.mapping.cloud import LabeledCloud, write_ply
from sray.mapping.session import Session
from sray.mapping.session_export import export_sequence
from sray.mapping.voxel_map import VoxelMap, VoxelMapConfig


@dataclass
class SessionCommand:
    """Look into a session that the mapper saved; export its keyframes as a recording, or its map as PLY."""

    file: tyro.conf.Positional[Path]
    """A .safetensors file written by the mapper's save_session."""
    export: Path | None = None
    """Folder for the keyframes in ScanNet's layout, as `sray train` and `sray finetune` read it. Must not exist."""
    ply: Path | None = None
    """File for the map: points with color, class and confidence. Must not exist."""

    def main(self) -> None:
        for path, option in ((self.export, "--export"), (self.ply, "--ply")):
            if path is not None and path.exists():
                raise FileError(f"{path} exists", "a free name", f"Give another {option}")
        session = Session.load(self.file)
        cloud = _cloud(session)
        console = Console(highlight=False, soft_wrap=True)
        _show(session, cloud, self.file.stat().st_size, console)
        if self.export is not None:
            count = export_sequence(session, self.export)
            console.print(escape(f"{count} keyframes in {self.export} (JPEG pictures: colors differ a little)"))
        if self.ply is not None:
            write_ply(self.ply, cloud, session.label_space, session.frame or "world")
            console.print(escape(f"{len(cloud)} points in {self.ply}"))


def _cloud(session: Session) -> LabeledCloud:
    size, voxels = session.map.voxel_size, len(session.map.keys)
    return VoxelMap.from_state(session.map, VoxelMapConfig(size, max(1, voxels))).to_cloud()


def _show(session: Session, cloud: LabeledCloud, size: int, console: Console) -> None:
    frames = [frame for _, frame in session.keyframes]
    facts = Table(show_header=False, box=None)
    for name, value in (
        ("file", f"{size / 1e6:.1f} MB"),
        ("model", session.model_id),
        ("label space", f"{session.label_space.name}, {session.label_space.classes} classes"),
        ("keyframes", _keyframes(session)),
        ("frame", f"{session.frame or 'not named'}; the map's points are relative to {session.map.origin}"),
        ("depth", f"{sum(frame.depth is not None for frame in frames)} keyframes"),
        ("labels", f"{sum(frame.labels is not None for frame in frames)} keyframes"),
        ("map", f"{len(cloud)} voxels of {session.map.voxel_size:g} m{_extent(cloud)}"),
    ):
        facts.add_row(name, escape(value))
    console.print(facts)
    in_map = np.bincount(cloud.labels, minlength=256)
    in_frames = _label_counts(frames)
    if in_map.any() or in_frames.any():
        console.print(_shares(session.label_space.names, in_map, in_frames))


def _keyframes(session: Session) -> str:
    if not session.keyframes:
        return f"none (the next is number {session.next_number})"
    frames = [frame for _, frame in session.keyframes]
    stamps = [frame.stamp_ns for frame in frames]
    seconds = (max(stamps) - min(stamps)) * 1e-9
    camera = frames[0].camera
    first, last = session.keyframes[0][0], session.keyframes[-1][0]
    return f"{len(frames)} of {camera.width}x{camera.height}, numbers {first} to {last}, over {seconds:.1f} s"


def _extent(cloud: LabeledCloud) -> str:
    if not len(cloud):
        return ""
    sides = cloud.points.max(axis=0) - cloud.points.min(axis=0)
    return ", " + " x ".join(f"{side:.1f}" for side in sides) + " m"


def _label_counts(frames: list[Frame]) -> NDArray[np.int64]:
    counts = np.zeros(256, np.int64)
    for frame in frames:
        if frame.labels is not None:
            counts += np.bincount(frame.labels.numpy().ravel(), minlength=256)
    return counts


def _shares(names: tuple[str, ...], in_map: NDArray[np.int64], in_frames: NDArray[np.int64]) -> Table:
    """Of the map's voxels, and of the labeled pixels: each class that there is."""
    table = Table("class", "map", "labels", box=None)
    known = in_frames[: len(names)]
    for index in np.argsort(-(in_map[: len(names)] + known), kind="stable").tolist():
        if in_map[index] or known[index]:
            shares = (in_map[index] / max(1, in_map.sum()), known[index] / max(1, known.sum()))
            table.add_row(escape(names[index]), *(f"{share:.1%}" for share in shares))
    return table
