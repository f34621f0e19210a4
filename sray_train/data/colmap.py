"""COLMAP's sparse models as text: cameras.txt, images.txt and, for near and far, points3D.txt. No depth, no labels.

The model lies in sparse/0/, sparse/ or the folder itself, the pictures in images/ or the folder. Poses are
camera_from_world with OpenCV's axes, in a unit of their own. Pixels count from the picture's corner: the center of the
first one is at 0.5, half a pixel more than here. Source: COLMAP's documentation, "Output Format" and "Camera Models".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sray.calibration import Calibration, calibrated, lens_of, said_by
from sray.errors import CalibrationError, FileError
from sray.sampling import ROOM_BOUNDS
from sray_train.data.picture_files import FileRecording, Photograph
from sray_train.data.recording import usable_poses
from sray_train.data.sparse_points import bounds_of_points

MODELS = ("sparse/0", "sparse", "colmap/sparse/0", "")
"""Where in a scene's folder a model may lie."""
LENSES: dict[str, tuple[int, str, tuple[int, ...]]] = {
    "SIMPLE_PINHOLE": (1, "pinhole", ()),
    "PINHOLE": (2, "pinhole", ()),
    "SIMPLE_RADIAL": (1, "opencv", (0,)),
    "RADIAL": (1, "opencv", (0, 1)),
    "OPENCV": (2, "opencv", (0, 1, 2, 3)),
    "FULL_OPENCV": (2, "opencv", (0, 1, 2, 3, 4, 5, 6, 7)),
    "SIMPLE_RADIAL_FISHEYE": (1, "fisheye", (0,)),
    "RADIAL_FISHEYE": (1, "fisheye", (0, 1)),
    "OPENCV_FISHEYE": (2, "fisheye", (0, 1, 2, 3)),
}
"""COLMAP's camera model: focal lengths, our lens, and which of OpenCV's coefficients follow the principal point."""


def model_folder(folder: Path, ending: str = "txt") -> Path | None:
    """Where the model is; None if there is none with this ending."""
    places = [folder / place for place in MODELS]
    return next((each for each in places if (each / f"images.{ending}").is_file()), None)


def open_colmap(folder: Path | str) -> FileRecording:
    """Raises FileError, naming the file and the line, for what is missing or is not what it should be."""
    folder = Path(folder)
    model = model_folder(folder)
    if model is None:
        if binary := model_folder(folder, "bin"):
            convert = f"colmap model_converter --input_path {binary} --output_path {binary} --output_type TXT"
            raise FileError(f"{binary} holds a model in COLMAP's binary form", "text", f"Convert it: {convert}")
        raise FileError(f"{folder} has no images.txt", f"COLMAP's text model in it or in {', '.join(MODELS[:3])}")
    cameras = _cameras(model / "cameras.txt")
    photographs, skipped = _photographs(model / "images.txt", cameras, _pictures(folder))
    points = _points(model / "points3D.txt")
    bounds = bounds_of_points(points, photographs) or ROOM_BOUNDS
    return FileRecording.of(folder.name, photographs, skipped, model / "cameras.txt", bounds=bounds)


def _pictures(folder: Path) -> Path:
    return folder / "images" if (folder / "images").is_dir() else folder


def _lines(path: Path) -> list[tuple[int, str]]:
    """Number and text of the lines that are no comments; empty ones count."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read ({error})", "COLMAP's text model", "Export it again") from error
    return [(number, line) for number, line in enumerate(lines, start=1) if not line.lstrip().startswith("#")]


def _cameras(path: Path) -> dict[str, Calibration]:
    cameras = {}
    for number, line in _lines(path):
        words = line.split()
        if not words:
            continue
        try:
            identity, model, (width, height) = words[0], words[1], (int(words[2]), int(words[3]))
            values = [float(word) for word in words[4:]]
        except (IndexError, ValueError) as error:
            raise FileError(
                f"{path} has no camera in line {number} ({error})", "id, model, size, parameters"
            ) from error
        with said_by(f"{path}, line {number},", FileError):
            cameras[identity] = _calibration(model, width, height, values)
    return cameras


def _calibration(model: str, width: int, height: int, values: Sequence[float]) -> Calibration:
    if model not in LENSES:
        raise CalibrationError(
            f"camera model {model!r}", f"one of {', '.join(LENSES)}", "Undistort it: colmap image_undistorter"
        )
    focals, lens, coefficients = LENSES[model]
    if len(values) != focals + 2 + len(coefficients):
        raise CalibrationError(
            f"{len(values)} parameters for {model}", f"{focals + 2 + len(coefficients)}", "Export the model again"
        )
    fx, fy = values[0], values[focals - 1]
    cx, cy = values[focals : focals + 2]
    found = np.zeros(8 if len(coefficients) > 4 else 4)
    found[list(coefficients)] = values[focals + 2 :]
    intrinsics = np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])
    return calibrated(intrinsics, width, height, lens_of(lens, found.tolist()))


def _photographs(
    path: Path, cameras: dict[str, Calibration], folder: Path
) -> tuple[list[Photograph], dict[str, list[int]]]:
    """In the order of the pictures' names."""
    found: list[tuple[str, Calibration, NDArray[np.float64]]] = []
    lines = _lines(path)
    for number, line in lines[::2]:  # each is followed by the picture's points
        if not line.strip():
            continue
        words = line.split(maxsplit=9)
        try:
            quaternion, translation = [float(word) for word in words[1:5]], [float(word) for word in words[5:8]]
            calibration, name = cameras[words[8]], words[9]
            rotation = Rotation.from_quat([*quaternion[1:], quaternion[0]]).as_matrix()
        except (IndexError, KeyError, ValueError) as error:
            expected = "id, quaternion, translation, a camera of cameras.txt and a name; export the model again"
            raise FileError(f"{path} has no picture in line {number} ({error!r})", expected) from error
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation.T, -rotation.T @ translation
        found.append((name, calibration, pose))
    found.sort(key=lambda each: each[0])
    poses = np.array([pose for _, _, pose in found]).reshape(-1, 4, 4)
    kept, skipped = usable_poses(range(len(found)), poses, path)
    return [Photograph(at, folder / found[at][0], found[at][1], poses[at]) for at in kept], skipped


def _points(path: Path) -> NDArray[np.float64]:
    """(points, 3); none if there is no such file."""
    if not path.is_file():
        return np.zeros((0, 3))
    rows = [line.split()[1:4] for _, line in _lines(path) if line.strip()]
    try:
        return np.array(rows, np.float64).reshape(-1, 3)
    except ValueError as error:
        raise FileError(
            f"{path} holds no points ({error})", "id, x, y, z and more a line", "Export it again"
        ) from error
