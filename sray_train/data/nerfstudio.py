"""nerfstudio's folders: `transforms.json`, pictures and optional depth (16 bits, millimeters). No labels.

Lengths are those of whatever gave the poses: meters of a phone's tracker, COLMAP's own unit otherwise. Near and far
come from the sparse points (`ply_file_path`) where they are; else the scene is taken for a room in meters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sray.errors import FileError
from sray.sampling import ROOM_BOUNDS
from sray_train.data.picture_files import FileRecording
from sray_train.data.sparse_points import bounds_of_points
from sray_train.data.transforms import read_transforms

FILE = "transforms.json"


def open_nerfstudio(folder: Path | str) -> FileRecording:
    """Raises FileError, naming the file and the field, for what is missing or is not what it should be."""
    path = Path(folder) / FILE
    top, photographs, skipped = read_transforms(path)
    points = _points(path, top.get("ply_file_path"))
    bounds = None if points is None else bounds_of_points(points, photographs)
    return FileRecording.of(path.parent.name, photographs, skipped, path, bounds=bounds or ROOM_BOUNDS)


def _points(path: Path, name: Any) -> NDArray[np.float64] | None:
    if not isinstance(name, str) or not (file := path.parent / name).is_file():
        return None
    import trimesh  # takes half a second to load

    try:
        return np.asarray(trimesh.load(file).vertices, np.float64)
    except Exception as error:  # whatever its parsers raise
        raise FileError(f"{file} cannot be read ({error})", "the sparse points (PLY)", "Get the scene again") from error
