"""Which scenes a command works on: rooms by their seeds, one recorded folder, or what a config names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from sray import sequence as recorded
from sray.errors import ErrorCode, SrayError
from sray.label_space import LABEL_SPACES, VOID, LabelSpace
from sray_train.config import DataConfig
from sray_train.datasets.catalog import load_scenes
from sray_train.datasets.scene import Scene

LOOKED_AT = 12
"""Label pictures that say whether a recording and a checkpoint speak of the same classes."""


def chosen_scenes(
    data: DataConfig,
    label_space: LabelSpace,
    *,
    seeds: Sequence[str] = (),
    sequence: Path | None = None,
    bounds: tuple[float, float] | None = None,
) -> list[Scene]:
    """The rooms of `seeds`, the folder `sequence`, or, given neither, the config's test scenes.

    Labels come out in `label_space`, a checkpoint's. `bounds`: near and far in metres, instead of the scenes' own.
    Raises SrayError: MODEL_MISMATCH if the labels are of another label space, BAD_FILE if a scene cannot be read.
    """
    if sequence is not None:
        scenes = [_folder(data, label_space, sequence)]
    else:
        known = LABEL_SPACES[data.label_space]
        if (known.names, known.nyu40) != (label_space.names, label_space.nyu40):
            raise SrayError(
                ErrorCode.MODEL_MISMATCH,
                f"the scenes' labels are of label space {known.name} ({known.classes} classes: "
                f"{', '.join(known.names[:4])}, ...), the checkpoint's of {label_space.name} ({label_space.classes}: "
                f"{', '.join(label_space.names[:4])}, ...); expected the same. Set data.label_space of the config, or "
                "take a checkpoint that was trained on it",
            )
        if seeds:
            data = replace(data, dataset="rooms", test=" ".join(seeds))
        scenes = load_scenes(data, data.test)
    return scenes if bounds is None else [replace(scene, bounds=bounds) for scene in scenes]


def _folder(data: DataConfig, label_space: LabelSpace, folder: Path) -> Scene:
    """A folder at the config's width and its own aspect: what is squeezed looks like nothing the model has seen."""
    recording = recorded.Sequence.open(folder, label_space)
    _check_labels(recording)
    width, height = recording.size
    return Scene.of(recording, (data.width, max(1, round(height * data.width / width))), data.frames)


def _check_labels(recording: recorded.Sequence) -> None:
    """Raises SrayError(MODEL_MISMATCH) if pictures are labelled, but with no class of the recording's label space."""
    strange: set[int] = set()
    for position in range(0, len(recording) if recording.has_labels else 0, max(1, len(recording) // LOOKED_AT)):
        labels = recording[position].labels
        assert labels is not None
        if (labels != VOID).any():
            return
        path = recording.folder / "label-filt" / f"{recording.indices[position]}.png"
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert ids is not None  # it was read just before
        strange |= set(np.unique(ids).tolist()) - {0}
    if strange:
        space = recording.label_space
        shown = ", ".join(str(each) for each in sorted(strange)[:8]) + (" and more" if len(strange) > 8 else "")
        raise SrayError(
            ErrorCode.MODEL_MISMATCH,
            f"{recording.folder / 'label-filt'} holds ids {shown}, none of them of the checkpoint's label space "
            f"{space.name} (NYU40 ids {', '.join(map(str, space.nyu40))}); expected ids it knows. Say what they are "
            "with --label-ids, or take a checkpoint of that label space",
        )
