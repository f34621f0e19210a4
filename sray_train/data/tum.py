"""TUM RGB-D's folders, and ETH3D's SLAM ones: rgb.txt, depth.txt, groundtruth.txt, pictures by stamp. No labels.

Poses are world_from_camera of the color camera, OpenCV axes: stamp, position, quaternion x y z w. Depth is registered
to color, 5000 units a meter. K is not in the folder: the published one of freiburg1, 2 and 3 by the folder's name, or
calibration.txt with fx fy cx cy, and k1 k2 p1 p2 [k3] if the pictures are distorted.
Source: "File Formats" of the benchmark.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sray.calibration import Calibration, calibrated, lens_of, said_by
from sray.errors import FileError
from sray_train.data.picture_files import FileRecording, Photograph
from sray_train.data.recording import picture_size, read_rows, usable_poses

DEPTH_PER_METER = 5000.0
SLOP = 0.02
"""Seconds by which stamps of color, depth and pose may differ, as the benchmark's own tool has it."""
CALIBRATION = "calibration.txt"
PUBLISHED: dict[str, tuple[float, ...]] = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3, 0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    "freiburg2": (520.9, 521.0, 325.1, 249.7, 0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}
"""fx fy cx cy k1 k2 p1 p2 k3 of the color cameras, 640x480."""


def open_tum(folder: Path | str) -> FileRecording:
    """Frames without a pose within 0.02 s are skipped and counted.

    Raises FileError, naming the file, for what is missing or is not what it should be.
    """
    folder = Path(folder)
    colors = _listed(folder / "rgb.txt")
    depths = _listed(folder / "depth.txt") if (folder / "depth.txt").is_file() else []
    if not colors:
        raise FileError(
            f"{folder / 'rgb.txt'} names no pictures", "a stamp and a file a line", "Get the sequence again"
        )
    stamps, poses = _trajectory(folder / "groundtruth.txt")
    posed = [(at, _nearest(stamps, float(stamp))) for at, (stamp, _) in enumerate(colors)]
    unposed = [at for at, nearest in posed if nearest is None]
    matched = [(at, nearest) for at, nearest in posed if nearest is not None]
    if len(stamps) and not matched:
        found = f"{folder / 'groundtruth.txt'} has no pose within {SLOP:g} s of any picture"
        ours, theirs = f"{stamps[0]:.3f} to {stamps[-1]:.3f} s", f"{colors[0][0]:.3f} to {colors[-1][0]:.3f} s"
        raise FileError(
            f"{found} (its stamps are {ours}, those of rgb.txt {theirs})",
            "stamps of one clock",
            "Write both files by the same clock",
        )
    kept, skipped = usable_poses(
        [at for at, _ in matched], poses[[nearest for _, nearest in matched]], folder / "groundtruth.txt"
    )
    if unposed:
        skipped[f"no pose within {SLOP:g} s"] = unposed
    calibration = _calibration(folder, folder / colors[matched[kept[0]][0]][1])
    depth_stamps = np.array([float(stamp) for stamp, _ in depths])
    photographs = []
    for at, nearest in (matched[position] for position in kept):
        stamp, name = colors[at]
        beside = _nearest(depth_stamps, float(stamp))
        depth = None if beside is None else folder / depths[beside][1]
        photographs.append(Photograph(at, folder / name, calibration, poses[nearest], depth, int(stamp * 10**9)))
    return FileRecording.of(folder.name, photographs, skipped, folder / CALIBRATION, depth_per_meter=DEPTH_PER_METER)


def _listed(path: Path) -> list[tuple[Decimal, str]]:
    """Stamps (seconds) and files, by stamp."""
    try:
        lines = [line.split(maxsplit=1) for line in path.read_text().splitlines() if not line.startswith("#")]
        found = [(Decimal(words[0]), words[1].strip()) for words in lines if words]
    except (OSError, IndexError, ArithmeticError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read ({error!r})", "a stamp and a file a line", "Get it again") from error
    return sorted(found)


def _trajectory(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stamps (poses,) in seconds, ascending, and world_from_camera (poses, 4, 4)."""
    rows = read_rows(path, "stamp tx ty tz qx qy qz qw a line")
    if rows.shape[1] != 8:
        raise FileError(f"{path} has {rows.shape[1]} numbers a line", "stamp tx ty tz qx qy qz qw", "Get it again")
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    rows = rows[np.isfinite(rows).all(1) & (np.linalg.norm(rows[:, 4:], axis=1) > 0.5)]
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    if len(rows):
        poses[:, :3, :3] = Rotation.from_quat(rows[:, 4:]).as_matrix()
        poses[:, :3, 3] = rows[:, 1:4]
    return rows[:, 0], poses


def _nearest(stamps: NDArray[np.float64], stamp: float) -> int | None:
    """Position of the nearest of ascending stamps, if it is near enough."""
    after = int(np.searchsorted(stamps, stamp))
    near = [at for at in (after - 1, after) if 0 <= at < len(stamps) and abs(stamps[at] - stamp) <= SLOP]
    return min(near, key=lambda at: abs(float(stamps[at]) - stamp), default=None)


def _calibration(folder: Path, picture: Path) -> Calibration:
    path = folder / CALIBRATION
    known = re.search(r"freiburg[123]", folder.name)
    if path.is_file():
        try:
            values = tuple(float(word) for word in path.read_text().split())
        except (OSError, ValueError) as error:
            raise FileError(
                f"{path} cannot be read ({error})", "fx fy cx cy [k1 k2 p1 p2 [k3]]", "Write it so"
            ) from error
    elif known:
        values = PUBLISHED[known.group()]
    else:
        remedy = "the camera's fx fy cx cy, and k1 k2 p1 p2 [k3] if its pictures are distorted, in one line. Write it"
        raise FileError(f"{path} does not exist, and the folder is not named freiburg1, 2 or 3", remedy)
    if len(values) not in (4, 8, 9):
        raise FileError(f"{path} holds {len(values)} numbers", "fx fy cx cy [k1 k2 p1 p2 [k3]]", "Write it so")
    width, height = picture_size(picture) if path.is_file() else (640, 480)
    fx, fy, cx, cy = values[:4]
    with said_by(str(path), FileError):
        lens = lens_of("plumb_bob", values[4:])
        return calibrated(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), width, height, lens)
