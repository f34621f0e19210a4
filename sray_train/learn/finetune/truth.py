"""Scoring on other labels than those that teach: scored frames take theirs from another copy of the recording."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sray.camera import Camera
from sray.errors import FileError, ModelError, SrayError
from sray.frames import Frame
from sray.label_space import VOID, LabelSpace
from sray.sequence import Sequence as Folder
from sray_train.data.config import LabelIds
from sray_train.data.scannet import open_scannet
from sray_train.data.scene import Scene
from sray_train.data.view_split import ViewSplit
from sray_train.learn.finetune.relabeled import relabeled

SHOWN = 6
"""Frames that a message names, at most."""
POSE_TOLERANCE = 0.01
"""Largest difference of any entry of two poses of one frame: a centimeter, half a degree."""


@dataclass(frozen=True)
class Truth:
    """Another copy of a recording, whose labels are the ones to score on."""

    path: Path
    label_space: LabelSpace
    label_ids: LabelIds = "auto"

    def of_scored_frames(self, scene: Scene, split: ViewSplit) -> Scene:
        """The scene, its frames that are scored (split.scored) labeled by this recording, number by number.

        No other frame is touched. Raises FileError if the recording cannot be read, has no labels, or lacks a scored
        frame or has it in another place; ModelError if it labels test frames with no class of the label space.
        """
        recording = open_scannet(self.path, self.label_space, self.label_ids)
        if not recording.has_labels:
            raise self._bad("has no labels", "label-filt/N.png for every test frame")
        numbers = recording.indices if isinstance(recording, Folder) else recording.numbers
        position = {number: index for index, number in enumerate(numbers)}
        wanted = {index: _number(scene.frames[index]) for index in split.scored}
        missing = [number for number in wanted.values() if number not in position]
        if missing:
            raise self._bad(
                f"has no usable frame {_some(missing)} (its frames: {_some(numbers)})",
                f"the frames that {scene.name} is scored on, by the same numbers ({_some(list(wanted.values()))})",
            )
        labeled = {index: recording[position[number]] for index, number in wanted.items()}
        for index, frame in labeled.items():
            self._check_place(scene.cameras[index], frame.camera, wanted[index], scene.name)
        if not any(_any_label(labeled[index]) for index in split.test):
            tested = _some([wanted[index] for index in split.test])
            raise ModelError(
                f"{self.path} labels none of the test frames ({tested}) with a class of the "
                f"checkpoint's label space {self.label_space.name} (NYU40 ids "
                f"{', '.join(map(str, self.label_space.nyu40))})",
                "some",
                "Say what its ids are with --truth-label-ids, or take a checkpoint of their label space",
            )
        size = scene.cameras.width, scene.cameras.height
        unknown = torch.full((size[1], size[0]), VOID, dtype=torch.uint8)
        labels = {index: frame.resized(*size).labels for index, frame in labeled.items()}
        return relabeled(scene, {index: unknown if its is None else its for index, its in labels.items()})

    def _check_place(self, ours: Camera, theirs: Camera, number: int, scene: str) -> None:
        apart = float(np.abs(ours.world_pose - theirs.world_pose).max())
        if apart > POSE_TOLERANCE:
            raise self._bad(
                f"has frame {number} at another pose than {scene} (they differ by {apart:.2f})",
                "a copy of the same recording, or its labels say nothing of these pictures",
            )

    def _bad(self, found: str, expected: str) -> SrayError:
        return FileError(f"{self.path} {found}", expected, "Give another --truth")


def whose_labels(path: Path) -> dict[str, str | None]:
    """Where labels come from, for a record. `made_by`: the model, if `sray pseudolabel` made them; None: no telling."""
    try:
        made_by = json.loads((path / "pseudolabels.json").read_text())["model"]
    except (OSError, ValueError, KeyError, TypeError):
        made_by = None
    return {"path": str(path), "made_by": made_by}


def _any_label(frame: Frame) -> bool:
    return frame.labels is not None and bool(torch.any(frame.labels != VOID))


def _number(frame: Frame) -> int:
    return int(frame.name.rpartition("/")[2])


def _some(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN]))
    return shown + (f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else "")
