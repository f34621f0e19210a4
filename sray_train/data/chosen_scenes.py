"""Which scenes a command works on: rooms by their seeds, one recording, or what a config names."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from sray.errors import FileError, ModelError
from sray.label_space import LABEL_SPACES, VOID, LabelSpace
from sray.segmentation.between_spaces import same_classes
from sray.sequence import Sequence, label_folder
from sray_train.data.catalog import OPEN, load_scenes
from sray_train.data.config import DataConfig
from sray_train.data.label_pictures import LabelPictures
from sray_train.data.layouts import layout_of
from sray_train.data.replica import SEQUENCES, ReplicaRecording
from sray_train.data.scannet import open_scannet
from sray_train.data.scene import Recording, Scene, fitting_size
from sray_train.data.sens import SensRecording

LOOKED_AT = 12
"""Label pictures that say whether a recording and a checkpoint speak of the same classes."""


def chosen_scenes(
    data: DataConfig,
    label_space: LabelSpace,
    *,
    seeds: tuple[str, ...] = (),
    sequence: Path | None = None,
    bounds: tuple[float, float] | None = None,
) -> list[Scene]:
    """The rooms of `seeds`, the recording `sequence`, or, given neither, the config's test scenes.

    Labels come out in `label_space`, a checkpoint's. `bounds`: near and far in meters, instead of the scenes' own.
    Raises ModelError if the labels are of another label space, FileError if a scene cannot be read.
    """
    if sequence is not None:
        scenes = _recorded(data, label_space, sequence)
    else:
        known = LABEL_SPACES[data.label_space]
        if not same_classes(known, label_space):
            raise ModelError(
                f"the scenes' labels are of label space {known.name} ({known.classes} classes: "
                f"{', '.join(known.names[:4])}, ...), the checkpoint's of {label_space.name} ({label_space.classes}: "
                f"{', '.join(label_space.names[:4])}, ...)",
                "the same",
                "Set data.label_space of the config, or take a checkpoint that was trained on it",
            )
        if seeds:
            data = replace(data, dataset="rooms", test=" ".join(seeds))
        scenes = load_scenes(data, data.test)
    return scenes if bounds is None else [replace(scene, bounds=bounds) for scene in scenes]


def _recorded(data: DataConfig, label_space: LabelSpace, path: Path) -> list[Scene]:
    """A recording in any dataset's layout, at the config's width and its own aspect (`fitting_size`).

    Replica's scenes have two sequences, each a scene here.
    """
    # `--sequence .` has no name of its own, and a link to a recording is called what the link is called: no resolve().
    path = Path(os.path.abspath(path))  # noqa: PTH100
    if not path.exists():
        raise FileError(f"{path} does not exist", "the folder of a recording, or a .sens file")
    dataset = layout_of(path)
    found: list[Recording]
    if dataset in ("folder", "scannet"):
        recording = open_scannet(path, label_space, data.label_ids)
        if (labels := _label_pictures(recording)) is not None:
            _check_labels(recording, labels)
        found = [recording]
    elif dataset == "replica":
        folders = [path] if path.name in SEQUENCES else [path / name for name in SEQUENCES if (path / name).is_dir()]
        found = [ReplicaRecording.open(folder, label_space) for folder in folders]
    else:  # datasets without labels
        found = OPEN[dataset](replace(data, dataset=dataset, root=str(path.parent)), path.parent, path.name)
    return [Scene.of(each, fitting_size(each, data.width, data.height), data.frames) for each in found]


def _label_pictures(recording: Sequence | SensRecording) -> LabelPictures | None:
    if isinstance(recording, SensRecording):
        return recording.labels
    return LabelPictures.of(label_folder(recording.folder)) if recording.has_labels else None


def _check_labels(recording: Sequence | SensRecording, labels: LabelPictures) -> None:
    """Raises ModelError if pictures are labeled, but with no class of the recording's label space."""
    numbers = recording.numbers if isinstance(recording, SensRecording) else recording.indices
    strange: set[int] = set()
    for position in range(0, len(recording), max(1, len(recording) // LOOKED_AT)):
        known = recording[position].labels
        if known is not None and (known != VOID).any():
            return
        if numbers[position] in labels.members:
            strange |= set(np.unique(labels.read(numbers[position])).tolist()) - {0}
    if strange:
        space = recording.label_space
        shown = ", ".join(str(each) for each in sorted(strange)[:8]) + (" and more" if len(strange) > 8 else "")
        raise ModelError(
            f"{labels.path} holds ids {shown}, none of them of the checkpoint's label space {space.name} (NYU40 ids "
            f"{', '.join(map(str, space.nyu40))})",
            "some of those",
            "Say what they are with --label-ids, or take a checkpoint of their label space",
        )
