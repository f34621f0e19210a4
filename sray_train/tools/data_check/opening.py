"""Opens the recordings to check as training would. Faults that a check can report do not stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from sray.errors import FileError, SrayError
from sray.label_space import LABEL_SPACES, LabelSpace
from sray.sequence import label_folder
from sray_train.data.catalog import OPEN
from sray_train.data.config import DataConfig, Dataset, LabelIds
from sray_train.data.label_pictures import LabelPictures
from sray_train.data.layouts import layout_of
from sray_train.data.scannet import nyu40_table
from sray_train.data.scene import Recording
from sray_train.tools.data_check.findings import Finding
from sray_train.tools.data_check.folder_checks import open_whole_frames

LABELS_REFUSED = "labels-refused"
"""Code of the finding that training would not take the label pictures."""
Layout = Literal["auto", "folder", "scannet", "replica", "blender", "llff", "nerfstudio", "tum", "colmap"]


def open_recordings(
    path: Path, dataset: Layout, label_space: str, label_ids: LabelIds
) -> list[tuple[Recording, list[Finding]]]:
    """The recordings of one scene, each with what was wrong already when it was opened.

    Raises FileError, naming the path, for what is no recording at all.
    """
    path = path.expanduser().absolute()
    if not path.exists():
        raise FileError(f"{path} does not exist", "the folder of one scene, or its .sens file")
    known = layout_of(path) if dataset == "auto" else dataset
    if (path / "color").is_dir() and known in ("folder", "scannet"):
        return [_scannet_layout(path, LABEL_SPACES[label_space], label_ids)]
    assert known in get_args(Dataset)
    # LLFF's pictures are chosen by width: as wide as a check looks at anything.
    data = DataConfig(known, str(path.parent), label_space=label_space, label_ids=label_ids, width=640, height=480)
    found = OPEN[known](data, path.parent, path.stem if path.suffix == ".sens" else path.name)
    if not found:
        raise FileError(f"{path} holds no scene of dataset {known}", "another --dataset, or the folder of one scene")
    return [(recording, []) for recording in found]


def _scannet_layout(folder: Path, label_space: LabelSpace, label_ids: LabelIds) -> tuple[Recording, list[Finding]]:
    table, findings = None, []
    if (labels := label_folder(folder)).is_dir():
        try:
            table = nyu40_table(folder, LabelPictures.of(labels), label_ids)
        except SrayError as error:
            # The ids are read as NYU40's: the label checks find out what they are.
            findings.append(_refused(error))
    recording, more = open_whole_frames(folder, label_space, table)
    return recording, findings + more


def _refused(error: SrayError) -> Finding:
    return Finding(
        LABELS_REFUSED,
        "problem",
        "Training would refuse the label pictures.",
        str(error),
        "Their ids are not those that --label-ids says, or the table of ids is not there.",
        "Do as the message says.",
        {},
    )
