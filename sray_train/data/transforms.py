"""`transforms.json` and its kin, as nerfstudio, instant-ngp and Blender's NeRF scenes have them: cameras and pictures.

nerfstudio: pictures, and depth (16 bits, millimeters) where there is any. Lengths are those of whatever gave the poses:
meters of a phone's tracker, COLMAP's own unit otherwise. Near and far come from the sparse points (`ply_file_path`)
where they are; else the scene is taken for a room in meters.
Blender (Realistic Synthetic 360): RGBA pictures of an object, `transforms_{train,val,test}.json`. Lengths are Blender's
units: the objects fit between 2 and 6 from each camera. No labels in either.

Poses are world_from_camera with OpenGL's axes (x right, y up, z backward). `fl_x fl_y cx cy w h`, the lens
(`camera_model k1 k2 k3 k4 p1 p2`) and the angles (`camera_angle_x camera_angle_y`, radians from edge to edge) stand at
the top for all frames, or in a frame for that one. `cx` counts from the left edge, so that w / 2 is the middle: half a
pixel more than here, where pixel centers are at integers.

Source: nerfstudio, "Data conventions"; instant-ngp, "nerf_dataset_tips".
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sray.calibration import Calibration, calibrated, lens_of, said_by
from sray.errors import CalibrationError, FileError
from sray.sampling import ROOM_BOUNDS
from sray_train.data.picture_files import FileRecording, Photograph
from sray_train.data.recording import picture_size, usable_poses
from sray_train.data.sparse_points import bounds_of_points

OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
SUFFIXES = (".png", ".jpg", ".jpeg")
NUMBERS = ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2")
Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
BLENDER_BOUNDS = (2.0, 6.0)
_GET = "Get the scene again"


def read_transforms(path: Path) -> tuple[dict[str, Any], list[Photograph], dict[str, list[int]]]:
    """What the file says at its top, the frames with a usable pose, and reason -> numbers of the others.

    Reads the first frame's picture if the file gives no size. Raises FileError, naming file and field.
    """
    try:
        top = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read ({error})", "the scene's JSON", _GET) from error
    if not isinstance(top, dict):
        raise FileError(f"{path} holds a {type(top).__name__}", "the scene's JSON, an object", _GET)
    frames = top.get("frames")
    if not isinstance(frames, list):
        raise FileError(f"{path} has no list of frames", "a frame for each picture", _GET)
    poses = np.array([_pose(frame, number, path) for number, frame in enumerate(frames)]).reshape(-1, 4, 4)
    kept, skipped = usable_poses(range(len(poses)), poses, path)
    files = {number: _file(path.parent, frames[number], "file_path", number, path) for number in kept}
    known: dict[tuple[Any, ...], Calibration] = {}
    photographs = []
    for number in kept:
        values = _Values(top, frames[number], number, path)
        key = values.key
        if key not in known:
            known[key] = values.calibration(files[kept[0]])
        depth = _file(path.parent, frames[number], "depth_file_path", number, path, needed=False)
        pose = poses[number] @ OPENGL_FROM_OPENCV
        photographs.append(Photograph(number, files[number], known[key], pose, depth))
    return top, photographs, skipped


class _Values:
    """The fields of one frame's camera: its own, else those of the top."""

    def __init__(self, top: dict[str, Any], frame: dict[str, Any], number: int, path: Path) -> None:
        self._path = path
        self._where = "" if not any(name in frame for name in (*NUMBERS, "camera_angle_x")) else f" in frame {number}"
        self._all = {**top, **frame}
        self.numbers = {name: self._number(name) for name in NUMBERS}
        self.angles = tuple(self._angle(name) for name in ("camera_angle_x", "camera_angle_y"))
        self.model = self._all.get("camera_model") or ("OPENCV_FISHEYE" if self._all.get("is_fisheye") else "OPENCV")
        if not isinstance(self.model, str):
            raise FileError(f"{path} has camera_model {self.model!r}{self._where}", "a model's name", _GET)

    @property
    def key(self) -> tuple[Any, ...]:
        return (*self.numbers.values(), *self.angles, self.model)

    def calibration(self, picture: Path) -> Calibration:
        """`picture`: whose size it is where the file gives none."""
        n = self.numbers
        if n["w"] is None or n["h"] is None:
            width, height = picture_size(picture)
        else:
            width, height = int(n["w"]), int(n["h"])
        fx = n["fl_x"] if n["fl_x"] is not None else self._focal(self.angles[0], width)
        fy = n["fl_y"] if n["fl_y"] is not None else self._focal(self.angles[1], height)
        if fx is None:
            given = self._all.get("camera_angle_x")
            found = f"has camera_angle_x {given!r}{self._where}, and no fl_x"
            raise FileError(f"{self._path} {found}", "radians between 0 and pi, or fl_x in pixels", _GET)
        cx = (width / 2 if n["cx"] is None else n["cx"]) - 0.5
        cy = (height / 2 if n["cy"] is None else n["cy"]) - 0.5
        intrinsics = np.array([[fx, 0, cx], [0, fy if fy is not None else fx, cy], [0, 0, 1]])
        with said_by(f"{self._path}{self._where}", FileError):
            return calibrated(intrinsics, width, height, lens_of(self.model, self._coefficients()))

    def _coefficients(self) -> list[float]:
        """In OpenCV's order; none if the file has none, which is an ideal lens of the model."""
        k1, k2, k3, k4, p1, p2 = (self.numbers[name] or 0.0 for name in NUMBERS[6:])
        if "fisheye" in self.model.lower():
            return [k1, k2, k3, k4]
        if k4:
            raise CalibrationError(
                f"k4 = {k4:g} beside camera_model {self.model}",
                "k1 k2 k3 p1 p2, or a fisheye",
                "Undistort the pictures with the program that calibrated them",
            )
        return [k1, k2, p1, p2, k3]

    def _number(self, name: str) -> float | None:
        value = self._all.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise FileError(f"{self._path} has {name} {value!r}{self._where}", "a number", _GET)
        return float(value)

    def _angle(self, name: str) -> float | None:
        value: Any = self._all.get(name)
        sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.pi
        return float(value) if sound else None

    @staticmethod
    def _focal(angle: float | None, side: int) -> float | None:
        return None if angle is None else side / 2 / math.tan(angle / 2)


def _pose(frame: Any, number: int, path: Path) -> NDArray[np.float64]:
    try:
        pose = np.array(frame["transform_matrix"], np.float64)
        if pose.shape != (4, 4):
            raise ValueError(f"shape {pose.shape}")
        return pose
    except (KeyError, TypeError, ValueError) as error:
        found = f"has no 4x4 transform_matrix in frame {number} ({error})"
        raise FileError(f"{path} {found}", "world from camera", _GET) from error


def _file(folder: Path, frame: dict[str, Any], field: str, number: int, path: Path, *, needed: bool = True) -> Any:
    """A frame's picture; its name may lack the ending. None if there is none and none is needed."""
    name = frame.get(field)
    if name is None and not needed:
        return None
    if not isinstance(name, str):
        raise FileError(f"{path} has {field} {name!r} in frame {number}", "a picture's name", _GET)
    picture = folder / name
    if picture.suffix.lower() in SUFFIXES:
        return picture
    candidates = [picture.with_name(picture.name + suffix) for suffix in SUFFIXES]
    return next((each for each in candidates if each.is_file()), candidates[0])


def open_nerfstudio(folder: Path | str) -> FileRecording:
    """Raises FileError, naming the file and the field, for what is missing or is not what it should be."""
    path = Path(folder) / "transforms.json"
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
        raise FileError(f"{file} cannot be read ({error})", "the sparse points (PLY)", _GET) from error


def open_blender(folder: Path | str, part: Part = "train") -> FileRecording:
    """The views of one part of a scene; what is transparent is white.

    Raises FileError, naming the file and the field, if they are missing or are not what they should be.
    """
    folder = Path(folder)
    path = folder / f"transforms_{part}.json"
    _, photographs, skipped = read_transforms(path)
    name = folder.name if part == "train" else f"{folder.name}/{part}"
    return FileRecording.of(name, photographs, skipped, path, bounds=BLENDER_BOUNDS)
