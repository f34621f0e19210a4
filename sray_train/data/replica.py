"""Replica as Semantic-NeRF's authors rendered it: rgb/rgb_N.png, depth/depth_N.png, semantic_class/, traj_w_c.txt.

Poses are world_from_camera, OpenCV axes, one row of 16 numbers a frame. Depth is camera z in millimeters. The camera
has 90 degrees from the left to the right edge and square pixels. Label pictures hold Replica's class ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.errors import FileError
from sray.label_space import LabelSpace
from sray.sampling import ROOM_BOUNDS
from sray_train.data.recording import (
    PictureRecording,
    Pictures,
    batch_of_cameras,
    meters_of,
    picture_size,
    read_picture,
    read_rows,
    usable_poses,
)

SEQUENCES = ("Sequence_1", "Sequence_2")
LAYOUT = "rgb/rgb_N.png, traj_w_c.txt, and depth/ and semantic_class/ if there are any"

CLASSES = """
undefined:0 backpack:40 base-cabinet:3 basket:40 bathtub:36 beam:38 beanbag:39 bed:4 bench:39 bike:40 bin:39 blanket:40
blinds:13 book:23 bottle:40 box:29 bowl:40 camera:40 cabinet:3 candle:40 chair:5 chopping-board:40 clock:40 cloth:21
clothing:21 coaster:40 comforter:40 computer-keyboard:40 cup:40 cushion:18 curtain:16 ceiling:22 cooktop:38
countertop:12 desk:14 desk-organizer:40 desktop-computer:40 door:8 exercise-ball:40 faucet:40 floor:2 handbag:37
hair-dryer:40 handrail:38 indoor-plant:40 knife-block:40 kitchen-utensil:40 lamp:35 laptop:40 major-appliance:38 mat:20
microwave:40 monitor:40 mouse:40 nightstand:32 pan:40 panel:38 paper-towel:40 phone:40 picture:11 pillar:38 pillow:18
pipe:40 plant-stand:39 plate:40 pot:40 rack:39 refrigerator:24 remote-control:40 scarf:21 sculpture:40 shelf:15 shoe:40
shower-stall:38 sink:34 small-appliance:40 sofa:6 stair:38 stool:40 switch:38 table:7 table-runner:40 tablet:40
tissue-paper:40 toilet:33 toothbrush:40 towel:27 tv-screen:25 tv-stand:39 umbrella:40 utensil-holder:40 vase:40 vent:40
wall:1 wall-cabinet:3 wall-plug:40 wardrobe:39 window:9 rug:40 logo:40 bag:37 set-of-clothing:21
"""
"""Replica's classes in the order of their ids, 0 to 101, each with the NYU40 id that it counts as here: what ScanNet's
table gives the same thing, so that a rug is otherprop and a bin otherfurniture, as ScanNet has it. 0 is unlabeled."""

NYU40_OF_REPLICA = np.zeros(256, np.uint8)
"""NYU40 id of each id that a label picture may hold; 0 for ids that Replica has not."""
NYU40_OF_REPLICA[: len(CLASSES.split())] = [int(entry.rpartition(":")[2]) for entry in CLASSES.split()]


@dataclass(frozen=True)
class ReplicaRecording(PictureRecording):
    """One sequence of a scene. Depth and labels are optional."""

    folder: Path
    label_space: LabelSpace
    has_depth: bool
    has_labels: bool

    @staticmethod
    def open(folder: Path | str, label_space: LabelSpace) -> ReplicaRecording:
        """Look through a sequence's folder, reading one picture for its size.

        Raises FileError, naming the path, if pictures or poses are missing or are not what they should be.
        """
        folder = Path(folder)
        stems = [path.stem.removeprefix("rgb_") for path in (folder / "rgb").glob("rgb_*.png")]
        numbers = sorted(int(stem) for stem in stems if stem.isdigit())
        if not numbers:
            raise FileError(f"{folder / 'rgb'} holds no rgb_N.png", f"a sequence of Semantic-NeRF's Replica: {LAYOUT}")
        poses = _read_poses(folder / "traj_w_c.txt")
        posed = [number for number in numbers if number < len(poses)]
        positions, skipped = usable_poses(posed, poses[posed], folder / "traj_w_c.txt")
        if len(posed) < len(numbers):
            skipped["no row in traj_w_c.txt"] = numbers[len(posed) :]
        kept = [posed[position] for position in positions]
        width, height = picture_size(folder / "rgb" / f"rgb_{kept[0]}.png")
        # 90 degrees from edge to edge; the edges are half a pixel outside the outer pixels' centers.
        intrinsics = np.array([[width / 2, 0, (width - 1) / 2], [0, width / 2, (height - 1) / 2], [0, 0, 1]])
        return ReplicaRecording(
            f"{folder.parent.name}/{folder.name}",
            batch_of_cameras(intrinsics, poses[kept], width, height),
            ROOM_BOUNDS,
            tuple(kept),
            skipped,
            folder,
            label_space,
            has_depth=(folder / "depth").is_dir(),
            has_labels=(folder / "semantic_class").is_dir(),
        )

    def source(self, position: int) -> Path:
        return self._file("rgb", position)

    def pictures(self, position: int) -> Pictures:
        image = cv2.cvtColor(read_picture(self.source(position), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        depth = labels = None
        if self.has_depth:
            path = self._file("depth", position)
            depth = meters_of(read_picture(path, cv2.IMREAD_UNCHANGED), path)
        if self.has_labels:
            path = self._file("semantic_class", position)
            ids = read_picture(path, cv2.IMREAD_UNCHANGED)
            if ids.ndim != 2 or ids.dtype != np.uint8:
                # vis_sem_class_N.png, the colored ones, lie in the same folder.
                found = f"holds {ids.dtype} of shape {ids.shape}"
                raise FileError(f"{path} {found}", "Replica's class ids, one channel of uint8", "Get the scene again")
            labels = self.label_space.from_nyu40(NYU40_OF_REPLICA[ids])
        return Pictures(image, depth, labels)

    def _file(self, kind: str, position: int) -> Path:
        return self.folder / kind / f"{kind}_{self.numbers[position]}.png"


def _read_poses(path: Path) -> NDArray[np.float64]:
    rows = read_rows(path, "a row of 16 numbers a frame", "Get the scene again")
    if rows.size % 16 or rows.shape[1] not in (4, 16):
        found = f"holds an array of shape {rows.shape}"
        raise FileError(f"{path} {found}", "4x4 poses, a row of 16 numbers a frame", "Get the scene again")
    return rows.reshape(-1, 4, 4)
