"""A recorded sequence on disk, in ScanNet's exported layout: found, checked and read.

    color/N.jpg  depth/N.png (uint16 mm, 0 = none)  pose/N.txt (4x4 world_from_camera)
    label-filt/N.png (NYU40 ids, 0 = unlabeled)  intrinsic/intrinsic_color.txt, intrinsic_depth.txt (4x4)

Depth and labels are optional, of the whole recording and of each frame. Of another size than the color they are resized
to it, nearest-exact.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sray.calibration import off_middle, why_implausible
from sray.camera import Camera
from sray.errors import FileError
from sray.frames import Frame, at_size_of_image
from sray.label_space import ROOMS, LabelSpace
from sray.origin import Origin
from sray.pictures import Fits, decode_file
from sray.recorded_bag import is_bag
from sray.sampling import ROOM_BOUNDS, Bounds

logger = logging.getLogger(__name__)

FRAME_PERIOD_NS = 1_000_000_000 // 30
"""The layout holds no stamps: file number N is taken at 1 s + N / 30 s."""


ENDINGS = {"color": (".jpg", ".jpeg", ".png"), "depth": (".png",), "label-filt": (".png",), "pose": (".txt",)}
"""Kind of file -> how its name may end; the first is what is written."""


LATEST_STAMP_NS = (1 << 31) * 1_000_000_000
"""A ROS stamp has 31 bits for its seconds; no recording that is played may go beyond."""


def stamp_of(number: int) -> int:
    """The synthesized stamp (ns) of file number `number`."""
    return 1_000_000_000 + number * FRAME_PERIOD_NS


@dataclass(frozen=True)
class Sequence:
    """The readable frames of a folder; frames without a usable pose are skipped and counted."""

    folder: Path
    label_space: LabelSpace
    indices: tuple[int, ...]
    """File numbers in playing order."""
    intrinsics: NDArray[np.float64]
    """K (3, 3) of the color images."""
    poses: NDArray[np.float64]
    """world_from_camera (frames, 4, 4)."""
    has_depth: bool
    """Of some frames at least. A frame without a file of it has none."""
    has_labels: bool
    """The same of labels."""
    skipped: dict[str, list[int]] = field(default_factory=dict)
    """Reason -> file numbers left out."""
    nyu40_of: NDArray[np.uint8] | None = None
    """NYU40 id of each of the 65536 ids a label picture may hold; None: they are NYU40 ids already."""

    @staticmethod
    def open(
        folder: Path | str,
        label_space: LabelSpace = ROOMS,
        nyu40_of: NDArray[np.uint8] | None = None,
        *,
        check_intrinsics: bool = True,
    ) -> Sequence:
        """Look through a folder, reading one picture for its size. The log says how many frames lack depth or labels.

        `check_intrinsics`: whether K can be of these pictures; without, no picture is read, and the caller checks.
        Raises FileError, naming the path, if the folder, its intrinsics or every usable frame is missing, or
        if K is of other pictures.
        """
        folder = Path(folder)
        color = folder / "color"
        if not color.is_dir():
            raise FileError(
                f"{folder} has no color/ folder",
                "the ScanNet layout: color/N.jpg pose/N.txt intrinsic/",
                _way_here(folder),
            )
        numbers = sorted(numbered(color, "color"))
        if not numbers:
            raise FileError(f"{color} holds no N.jpg", "numbered pictures such as 0.jpg")
        calibration = intrinsics_file(folder)
        intrinsics = _read_matrix(calibration)[:3, :3]
        if intrinsics[0, 0] <= 0 or intrinsics[1, 1] <= 0 or not np.isfinite(intrinsics).all():
            raise FileError(f"{calibration} is not a calibration", "focal lengths above 0")
        named = numbered(folder / "pose", "pose")
        usable: list[int] = []
        poses: list[NDArray[np.float64]] = []
        skipped: dict[str, list[int]] = {}
        for number in numbers:
            path = named.get(number)
            if path is None:
                skipped.setdefault("no pose file", []).append(number)
            elif not np.isfinite(pose := _read_matrix(path)).all():
                skipped.setdefault("pose is not finite", []).append(number)
            elif not is_rigid(pose):
                skipped.setdefault("pose is no rotation and translation", []).append(number)
            else:
                usable.append(number)
                poses.append(pose)
        if not usable:
            reasons = ", ".join(f"{len(found)} frames: {reason}" for reason, found in skipped.items())
            raise FileError(f"{folder / 'pose'} leaves no usable frame ({reasons})", "4x4 poses with finite numbers")
        with_depth = _count_beside(folder / "depth", "depth", usable)
        with_labels = _count_beside(label_folder(folder), "label-filt", usable)
        sequence = Sequence(
            folder,
            label_space,
            tuple(usable),
            intrinsics,
            np.stack(poses),
            has_depth=with_depth > 0,
            has_labels=with_labels > 0,
            skipped=skipped,
            nyu40_of=nyu40_of,
        )
        if check_intrinsics and (why := why_implausible(intrinsics, *sequence.size)):
            raise FileError(f"{calibration} has {why.found}", why.expected, why.remedy)
        return sequence

    @property
    def name(self) -> str:
        return Path(os.path.abspath(self.folder)).name  # noqa: PTH100 - "." has no name; resolve() would follow links

    @property
    def bounds(self) -> Bounds:
        """Near and far, camera z in meters: the layout does not say, so those of a room."""
        return ROOM_BOUNDS

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures: the first readable one's. Raises FileError if none is."""
        for number in self.indices:
            picture = decode_file(self.file("color", number), self._fits)
            if picture is not None:
                return picture.shape[1], picture.shape[0]
        raise FileError(f"{self.folder / 'color'} holds no picture that can be decoded", "readable N.jpg")

    @property
    def cameras(self) -> Camera:
        """The frames' cameras as one batch."""
        intrinsics = torch.from_numpy(self.intrinsics).float().expand(len(self), 3, 3)
        return Camera.at(self.poses, intrinsics, *self.size, self.origin)

    @cached_property
    def origin(self) -> Origin:
        """Of the frame that all frames' cameras are in."""
        return Origin.near(np.median(self.poses[:, :3, 3], axis=0))

    def file(self, kind: str, number: int) -> Path:
        """Of a frame: its `color`, `depth`, `label-filt` or `pose`. Names may be padded: 000007.jpg is number 7."""
        folder = label_folder(self.folder) if kind == "label-filt" else self.folder / kind
        return self._files[kind].get(number, folder / f"{number}{ENDINGS[kind][0]}")

    def largest_label_id(self, pictures: int = 32) -> int:
        """In that many label pictures, evenly chosen. Above 40 they are not NYU40's. Unreadable ones are left out."""
        files = list(self._files["label-filt"].values())
        chosen = files[:: -(-len(files) // pictures)] if files else []
        read = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in chosen)
        return max((int(ids.max()) for ids in read if ids is not None), default=0)

    @cached_property
    def _files(self) -> dict[str, dict[int, Path]]:
        labels = label_folder(self.folder)
        return {kind: numbered(labels if kind == "label-filt" else self.folder / kind, kind) for kind in ENDINGS}

    def _fits(self, width: int, height: int) -> bool:
        """Whether K is of pictures of this size rather than of turned ones: a picture may say how it was held."""
        return off_middle(self.intrinsics, width, height) <= off_middle(self.intrinsics, height, width)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Frame:
        """Read one frame. Raises FileError, naming the file, if a picture is damaged or of another size.

        Without a file of depth or labels the frame has none.
        """
        number = self.indices[position]
        bgr = _read_image(self.file("color", number), cv2.IMREAD_COLOR, self._fits)
        image = torch.from_numpy(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        height, width = image.shape[:2]
        if (width, height) != self.size:
            found = f"is {width}x{height}, others {self.size[0]}x{self.size[1]}"
            raise FileError(
                f"{self.file('color', number)} {found}",
                "pictures of one camera and one size",
                "Export the sequence again",
            )
        depth = labels = None
        if self.has_depth and (path := self._files["depth"].get(number)):
            raw = _read_image(path, cv2.IMREAD_UNCHANGED)
            if raw.ndim != 2 or raw.dtype != np.uint16:
                found = f"holds {raw.dtype} of shape {raw.shape}"
                raise FileError(f"{path} {found}", "one channel of uint16 millimeters")
            meters = np.where(raw > 0, raw.astype(np.float32) / 1000, np.float32(np.nan))
            depth = torch.from_numpy(at_size_of_image(meters, width, height, "depth", path))
        if self.has_labels and (path := self._files["label-filt"].get(number)):
            ids = _read_image(path, cv2.IMREAD_UNCHANGED)
            if ids.ndim != 2:
                raise FileError(f"{path} has shape {ids.shape}", "one channel of ids")
            nyu40 = self.label_space.from_nyu40(ids if self.nyu40_of is None else self.nyu40_of[ids])
            labels = torch.from_numpy(at_size_of_image(nyu40, width, height, "labels", path))
        intrinsics = torch.from_numpy(self.intrinsics).float()
        camera = Camera.at(self.poses[position], intrinsics, width, height, self.origin)
        return Frame(image, camera, depth, labels, stamp_of(number), f"{self.folder.name}/{number}")


def label_folder(folder: Path) -> Path:
    """Where a scene's label pictures are: label-filt/, or label/ as in ScanNet's 25k frames."""
    return (
        folder / "label"
        if not (folder / "label-filt").is_dir() and (folder / "label").is_dir()
        else folder / "label-filt"
    )


def intrinsics_file(folder: Path) -> Path:
    """intrinsic/intrinsic_color.txt, or intrinsics_color.txt as in ScanNet's 25k frames."""
    flat = folder / "intrinsics_color.txt"
    return flat if flat.is_file() else folder / "intrinsic" / "intrinsic_color.txt"


def numbered(folder: Path, kind: str) -> dict[int, Path]:
    """Number -> file of a folder, whose names may be padded with zeros; none if there is no such folder.

    Raises FileError if two files have one number.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in ENDINGS[kind] and path.stem.isdecimal():
            if other := found.get(int(path.stem)):
                raise FileError(f"{path} has the number of {other.name}", "one file a number", "Remove one of them")
            found[int(path.stem)] = path
    return found


def _count_beside(folder: Path, kind: str, numbers: list[int]) -> int:
    """How many of these frames have a file in a folder; the log says if others of them have none."""
    found = len(numbered(folder, kind).keys() & set(numbers))
    if folder.is_dir() and found < len(numbers):
        logger.warning("%s has no file of %d of %d frames: they have none", folder, len(numbers) - found, len(numbers))
    return found


def _way_here(path: Path) -> str:
    """What to do with something else than a folder in our layout."""
    if is_bag(path):
        return f"A rosbag2 is given as a bag: `sray bag --check {path}` prints the line that plays it"
    return f"Of a scene in another layout `sray bag {path} --output BAG` makes a bag, for bag:="


def _read_matrix(path: Path) -> NDArray[np.float64]:
    try:
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        matrix = np.array(rows, dtype=np.float64)
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read ({error})", "a text file with a 4x4 matrix") from error
    if matrix.shape != (4, 4):
        raise FileError(f"{path} holds an array of shape {matrix.shape}", "a 4x4 matrix")
    return matrix


def is_rigid(pose: NDArray[np.float64]) -> bool:
    """Whether a recorded pose, (4, 4), is rotation and translation: neither scaled, nor mirrored, nor empty."""
    if not np.isfinite(pose).all():
        return False
    rotation = pose[:3, :3]
    # Text files round, trackers drift: two hundredths still is a rotation, a scaled or transposed pose is not.
    return bool(np.abs(rotation @ rotation.T - np.eye(3)).max() < 0.02 and np.linalg.det(rotation) > 0)


def _read_image(path: Path, flags: int, fits: Fits | None = None) -> NDArray[Any]:
    image = decode_file(path, fits, flags)
    if image is None:
        state = "cannot be decoded" if path.is_file() else "is missing"
        raise FileError(f"{path} {state}", "a readable picture", "Export the sequence again or remove the frame")
    return image
