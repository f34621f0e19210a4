"""Real Forward-facing: photographs with COLMAP's poses in `poses_bounds.npy`. No labels.

A row of 17 numbers a picture, in the order of the picture's names: 3x5, then near and far. The 3x5 is world_from_camera
with axes (down, right, backward) and a column height, width, focal length, in pixels of images/. Lengths are COLMAP's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sray.calibration import same_aspect, why_implausible
from sray.errors import FileError
from sray_train.data.recording import (
    PictureRecording,
    Pictures,
    batch_of_cameras,
    picture_size,
    read_picture,
    usable_poses,
)

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class LlffRecording(PictureRecording):
    """The photographs of a scene at one of the sizes it comes in."""

    files: tuple[Path, ...]

    @staticmethod
    def open(folder: Path | str, width: int = 0) -> LlffRecording:
        """Read the poses, and one picture of each size for its width.

        `width`: of images/, images_4/, images_8/ and the like, the smallest at least so wide is read; without it, or
        if none is, the largest.
        Raises FileError, naming the file, if poses and pictures are missing or do not belong together.
        """
        folder = Path(folder)
        path = folder / "poses_bounds.npy"
        try:
            rows = np.load(path, allow_pickle=False).astype(np.float64)
        except (OSError, ValueError, EOFError) as error:
            raise FileError(
                f"{path} cannot be read ({error})", "a row of 17 numbers a picture", "Get it again"
            ) from error
        if rows.ndim != 2 or rows.shape[1] != 17:
            raise FileError(
                f"{path} holds an array of shape {rows.shape}", "a row of 17 numbers a picture", "Get it again"
            )
        files = _pictures_of(folder, width)
        if len(files) != len(rows):
            found = f"has {len(rows)} poses for {len(files)} pictures in {files[0].parent.name}/"
            raise FileError(
                f"{path} {found}", "one each, in the order of names", "Remove what was added or get the scene again"
            )
        matrices, bounds = rows[:, :15].reshape(-1, 3, 5), rows[:, 15:]
        poses = np.tile(np.eye(4), (len(rows), 1, 1))
        down, right, backward, center, _ = np.moveaxis(matrices, 2, 0)
        poses[:, :3] = np.stack([right, down, -backward, center], axis=2)
        kept, skipped = usable_poses(range(len(rows)), poses, path)
        full_height, full_width, focal = matrices[kept, :, 4].T
        if not (bounds[kept, 0] > 0).all() or not (bounds[kept, 1] > bounds[kept, 0]).all():
            raise FileError(
                f"{path} has near and far that are none", "0 < near < far in columns 16 and 17", "Get it again"
            )
        if not ((focal > 0) & (full_height > 0) & (full_width > 0)).all():
            raise FileError(f"{path} has a focal length or size of 0 or less", "pixels of images/", "Get it again")
        full = int(full_width[0]), int(full_height[0])
        size = _size(files[kept[0]], full)
        if not same_aspect(size, full):
            found = (
                f"is of {full[0]}x{full[1]} pictures, {files[kept[0]].name} is {size[0]}x{size[1]}, of another shape"
            )
            raise FileError(f"{path} {found}", "pictures that were only resized", "Get the scene again")
        intrinsics = np.tile(np.eye(3), (len(kept), 1, 1))
        intrinsics[:, 0, 0] = focal * size[0] / full_width
        intrinsics[:, 1, 1] = focal * size[1] / full_height
        intrinsics[:, 0, 2], intrinsics[:, 1, 2] = (size[0] - 1) / 2, (size[1] - 1) / 2
        for matrix in np.unique(intrinsics, axis=0):
            if why := why_implausible(matrix, *size):
                raise FileError(f"{path} has {why.found}", why.expected, why.remedy)
        return LlffRecording(
            folder.name,
            batch_of_cameras(intrinsics, poses[kept], *size),
            (float(bounds[kept, 0].min()), float(bounds[kept, 1].max())),
            tuple(kept),
            skipped,
            tuple(files[number] for number in kept),
        )

    def source(self, position: int) -> Path:
        return self.files[position]

    def pictures(self, position: int) -> Pictures:
        stored = read_picture(self.source(position), cv2.IMREAD_COLOR, lambda *size: size == self.size)
        return Pictures(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB))


def _size(picture: Path, full: tuple[int, int]) -> tuple[int, int]:
    """Width and height as read: turned by its EXIF tag only if that alone gives the shape of the poses' pictures."""
    height, width = read_picture(picture, cv2.IMREAD_COLOR, lambda *size: same_aspect(size, full)).shape[:2]
    return width, height


def _pictures_of(folder: Path, width: int) -> list[Path]:
    """The pictures, by name, of the size that suits a width."""
    sizes = {}
    for child in sorted(folder.iterdir()):
        if re.fullmatch(r"images(_\d+)?", child.name) and child.is_dir():
            files = sorted(path for path in child.iterdir() if path.suffix.lower() in SUFFIXES)
            if files:
                sizes[picture_size(files[0])[0]] = files
    if not sizes:
        raise FileError(f"{folder} has no images/, images_4/ or images_8/ with pictures", "a scene of LLFF's layout")
    wide = [each for each in sizes if each >= width]
    return sizes[min(wide) if wide and width else max(sizes)]
