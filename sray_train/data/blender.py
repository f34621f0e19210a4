"""Realistic Synthetic 360: objects rendered by Blender, `transforms_{train,val,test}.json`, RGBA pictures, no labels.

Poses are world_from_camera with OpenGL's axes (x right, y up, z backward); `camera_angle_x` is the angle between the
left and right edge. Lengths are Blender's units: the objects fit between 2 and 6 from each camera.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sray_train.data.recording import (
    PictureRecording,
    Pictures,
    bad_file,
    batch_of_cameras,
    picture_size,
    read_picture,
    usable_poses,
)

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
BOUNDS = (2.0, 6.0)
OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class BlenderRecording(PictureRecording):
    """The views of one part of a scene; what is transparent is white."""

    files: tuple[Path, ...]

    @staticmethod
    def open(folder: Path | str, part: Part = "train") -> BlenderRecording:
        """Read a part's transforms, and one picture for its size.

        Raises SrayError(BAD_FILE), naming the file and the field, if they are missing or are not what they should be.
        """
        folder = Path(folder)
        path = folder / f"transforms_{part}.json"
        try:
            raw = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise bad_file(path, f"cannot be read ({error})", "the scene's JSON; get the scene again") from error
        angle = raw.get("camera_angle_x") if isinstance(raw, dict) else None
        if not isinstance(angle, (int, float)) or not 0 < angle < math.pi:
            raise bad_file(path, f"has camera_angle_x {angle!r}", "radians between 0 and pi; get the scene again")
        entries = raw.get("frames")
        if not isinstance(entries, list):
            raise bad_file(path, "has no list of frames", "a frame for each picture; get the scene again")
        poses = np.array([_pose(entry, number, path) for number, entry in enumerate(entries)]).reshape(-1, 4, 4)
        kept, skipped = usable_poses(range(len(poses)), poses, path)
        files = [_picture(folder, entries[number], number, path) for number in kept]
        width, height = picture_size(files[0])
        focal = width / 2 / math.tan(angle / 2)
        intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        return BlenderRecording(
            folder.name if part == "train" else f"{folder.name}/{part}",
            batch_of_cameras(intrinsics, poses[kept] @ OPENGL_FROM_OPENCV, width, height),
            BOUNDS,
            tuple(kept),
            skipped,
            tuple(files),
        )

    def source(self, position: int) -> Path:
        return self.files[position]

    def pictures(self, position: int) -> Pictures:
        stored = read_picture(self.source(position), cv2.IMREAD_UNCHANGED)
        if stored.dtype != np.uint8 or stored.ndim != 3 or stored.shape[2] not in (3, 4):
            found = f"holds {stored.dtype} of shape {stored.shape}"
            raise bad_file(self.source(position), found, "8-bit colour, with or without alpha; get the scene again")
        image = stored[..., 2::-1]
        if stored.shape[2] == 4:
            opacity = stored[..., 3:].astype(np.float32) / 255
            image = (image * opacity + 255 * (1 - opacity)).round().astype(np.uint8)
        return Pictures(image)


def _pose(entry: Any, number: int, path: Path) -> NDArray[np.float64]:
    try:
        pose = np.array(entry["transform_matrix"], np.float64)
        if pose.shape != (4, 4):
            raise ValueError(f"shape {pose.shape}")
        return pose
    except (KeyError, TypeError, ValueError) as error:
        found = f"has no 4x4 transform_matrix in frame {number} ({error})"
        raise bad_file(path, found, "world from camera; get the scene again") from error


def _picture(folder: Path, entry: Any, number: int, path: Path) -> Path:
    name = entry.get("file_path")
    if not isinstance(name, str):
        raise bad_file(path, f"has file_path {name!r} in frame {number}", "a picture's name; get the scene again")
    picture = folder / name
    return picture if picture.suffix.lower() in (".png", ".jpg", ".jpeg") else picture.with_name(f"{picture.name}.png")
