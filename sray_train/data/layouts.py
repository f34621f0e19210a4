"""Finds which dataset's layout a folder has, by the files in it. Some layouts are recognized and not read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sray.errors import FileError
from sray.recorded_bag import is_bag
from sray_train.data.colmap import model_folder
from sray_train.data.config import Dataset


def _has(*names: str) -> Callable[[Path], bool]:
    """All of these names, or patterns, are in a folder."""
    return lambda folder: all(next(folder.glob(name), None) is not None for name in names)


def _has_model(folder: Path) -> bool:
    return model_folder(folder) is not None or model_folder(folder, "bin") is not None


SIGNS: tuple[tuple[str, Callable[[Path], bool], Dataset], ...] = (
    ("color/", _has("color"), "folder"),
    ("*.sens", _has("*.sens"), "scannet"),
    ("traj_w_c.txt", _has("traj_w_c.txt"), "replica"),
    ("Sequence_*", _has("Sequence_*"), "replica"),
    ("transforms.json", _has("transforms.json"), "nerfstudio"),
    ("transforms_*.json", _has("transforms_*.json"), "blender"),
    ("rgb.txt with groundtruth.txt", _has("rgb.txt", "groundtruth.txt"), "tum"),
    ("poses_bounds.npy", _has("poses_bounds.npy"), "llff"),
    ("images.txt or sparse/0/images.txt", _has_model, "colmap"),
)
"""What a scene of a dataset has in its folder, in words and as a test. The first that is found counts."""

OTHERS: tuple[tuple[str, Callable[[Path], bool], str], ...] = (
    (
        "a rosbag2 (.mcap or .db3)",
        is_bag,
        "`sray bag --check` prints the line that plays it into the node; a session that the node saves of it becomes a "
        "recording: `sray session --export`",
    ),
    (
        "NICE-SLAM's Replica (results/frameN.jpg, traj.txt)",
        _has("traj.txt", "results/frame*"),
        "Copy results/frameN.jpg to color/N.jpg, depthN.png to depth/N.png in millimeters (divide by 6.5535), each "
        "line of traj.txt to pose/N.txt, and K of cam_params.json to intrinsic/intrinsic_color.txt as a 4x4 matrix",
    ),
    (
        "7-Scenes (frame-N.color.png, frame-N.pose.txt)",
        _has("*.color.png", "*.pose.txt"),
        "Copy them to color/N.png, pose/N.txt and depth/N.png, and write K to intrinsic/intrinsic_color.txt as a 4x4 "
        "matrix",
    ),
    (
        "TUM RGB-D without its poses (rgb.txt)",
        _has("rgb.txt"),
        "Get groundtruth.txt, or write the trajectory of a SLAM system in its form",
    ),
    (
        "pictures without poses (images/)",
        _has("images/*"),
        "Compute poses, for instance with COLMAP, and export them as text or as transforms.json",
    ),
)
"""Layouts that are recognized and not read: their name, the file that identifies them, and the remedy."""


def layout_of(path: Path) -> Dataset:
    """Raises FileError, naming the layout if it is a known one, for what is not read here."""
    if path.suffix == ".sens":
        return "scannet"
    for _, is_there, dataset in SIGNS:
        if is_there(path):
            return dataset
    raise _unknown(path)


def _unknown(path: Path) -> FileError:
    for name, is_there, remedy in OTHERS:
        if is_there(path):
            return FileError(f"{path} has the layout of {name}, which is not read here", "another one", remedy)
    expected = ", ".join(sign for sign, _, _ in SIGNS)
    return FileError(
        f"{path} looks like no dataset known here", f"one of {expected} in it", "Is it the folder of one scene?"
    )
