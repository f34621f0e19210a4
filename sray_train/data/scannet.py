"""ScanNet: exported folders and `.sens` files alike, their labels in NYU40 or in ScanNet's own ids.

Which ids label pictures hold (`label_ids`): `nyu40`; `scannet`, raw ids, looked up in scannetv2-labels.combined.tsv;
or `auto`, by looking: pictures of 8 bits are NYU40 (raw ids do not fit), pictures of 16 bits with an id above 40 are
raw, and where 16 bits hold small ids only, they are NYU40 if no table is near, and refused if one is.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sray.errors import FileError, SrayError
from sray.label_space import LARGEST_NYU40, LabelSpace
from sray.sequence import Sequence, label_folder
from sray_train.data.config import LabelIds
from sray_train.data.label_pictures import LabelPictures
from sray_train.data.sens import SensRecording

TABLE = "scannetv2-labels.combined.tsv"
PICTURES_LOOKED_AT = 32
"""At most; the first with an id above 40 settles it."""


def open_scannet(
    path: Path | str, label_space: LabelSpace, label_ids: LabelIds = "auto", root: Path | str | None = None
) -> Sequence | SensRecording:
    """A scene: a folder as ScanNet's exporter (or this project's node) writes it, a `.sens` file, or a folder with one.

    `root`: the dataset's folder, the last in which the table of ids is looked for, from the scene upwards; without
    it, two folders above the scene. Labels of a `.sens` file are looked for beside it: a label-filt/ folder or
    <scene>_2d-label-filt.zip.
    Raises FileError, naming the file, for what cannot be read, and if the table is needed and not there.
    """
    path = Path(path)
    if path.is_dir() and not (path / "color").is_dir() and (found := sorted(path.glob("*.sens"))):
        path = found[0] if len(found) == 1 else path / f"{path.name}.sens"
    if path.suffix != ".sens":
        return open_folder(path, label_space, label_ids, root)
    labels = LabelPictures.beside(path.stem, _folders_of(path))
    table = None if labels is None else nyu40_table(path.parent, labels, label_ids, root)
    return SensRecording.open(path, label_space, labels, table)


def open_folder(
    folder: Path | str, label_space: LabelSpace, label_ids: LabelIds = "auto", root: Path | str | None = None
) -> Sequence:
    """A folder in ScanNet's exported layout, as `open_scannet`."""
    folder = Path(folder)
    labels = label_folder(folder)
    table = nyu40_table(folder, LabelPictures.of(labels), label_ids, root) if labels.is_dir() else None
    return Sequence.open(folder, label_space, table)


def nyu40_table(
    scene: Path, labels: LabelPictures, label_ids: LabelIds = "auto", root: Path | str | None = None
) -> NDArray[np.uint8] | None:
    """What turns a scene's label pictures into NYU40 ids (`Sequence.nyu40_of`); None: they are NYU40 ids already."""
    if label_ids not in get_args(LabelIds):
        raise ValueError(f"label_ids is {label_ids!r}; expected one of {', '.join(get_args(LabelIds))}")
    if label_ids == "nyu40":
        return None
    near = _up_to(scene.absolute(), None if root is None else Path(root).absolute())
    table = next((folder / TABLE for folder in near if (folder / TABLE).is_file()), None)
    if label_ids == "auto" and not _are_raw(labels, table):
        return None
    if table is None:
        raise FileError(
            f"{labels.path} holds raw ScanNet ids, and there is no {TABLE} in {', '.join(map(str, near))}",
            "ScanNet's table of ids beside the scenes (it comes with the dataset), or --label-ids (of a config: "
            "data.label_ids) nyu40 if they are NYU40 ids",
        )
    return read_table(table)


def read_table(path: Path | str) -> NDArray[np.uint8]:
    """NYU40 id of each of 65536 raw ids, 0 where there is none. Rows that repeat an id: the last counts.

    Raises FileError, naming the file and the line, if it has not the columns id and nyu40id, or no numbers.
    """
    path = Path(path)
    table = np.zeros(1 << 16, np.uint8)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            columns = rows.fieldnames or []
            for needed in ("id", "nyu40id"):
                if needed not in columns:
                    found = ", ".join(columns[:8]) or "nothing"
                    raise FileError(
                        f"{path} has no column {needed} ({found})", f"{TABLE} as ScanNet ships it", "Get it"
                    )
            for row in rows:
                number, nyu40 = int(row["id"]), int(row["nyu40id"])
                if not (0 <= number < len(table) and 0 <= nyu40 <= LARGEST_NYU40):
                    raise ValueError(f"id {number}, nyu40id {nyu40}")
                table[number] = nyu40
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path} cannot be read ({error})", f"{TABLE} as ScanNet ships it", "Get it again") from error
    except (ValueError, TypeError) as error:  # TypeError: a short line
        found = f"has no pair of ids in line {rows.line_num} ({error})"
        raise FileError(f"{path} {found}", "raw ids below 65536 and NYU40 ids of 0 to 40", "Get it again") from error
    return table


def _up_to(scene: Path, root: Path | None) -> list[Path]:
    above = [scene, *scene.parents]
    if root is None:
        return above[:3]
    return above[: above.index(root) + 1] if root in above else [scene, root]


def _are_raw(labels: LabelPictures, table: Path | None) -> bool:
    """Whether pictures hold raw ScanNet ids rather than NYU40's, by their bits and a look at some of them."""
    numbers = sorted(labels.members)
    wide = False
    for number in numbers[:: -(-len(numbers) // PICTURES_LOOKED_AT)]:
        try:
            ids = labels.read(number)
        except SrayError:  # reading the frame raises it again
            continue
        largest = int(ids.max(initial=0))
        if ids.dtype == np.uint8 and largest > LARGEST_NYU40:
            raise FileError(
                f"{labels.path / labels.members[number]} holds id {largest} in 8 bits",
                "NYU40 ids of 0 to 40, or raw ScanNet ids in 16 bits",
                "Export the labels again; if they are NYU40 ids and higher ones are to be ignored, set "
                "--label-ids (of a config: data.label_ids) nyu40",
            )
        if largest > LARGEST_NYU40:
            return True
        wide = wide or ids.dtype != np.uint8
    if wide and table is not None:
        raise FileError(
            f"{labels.path} holds 16-bit ids up to 40 only, which may be NYU40's or ScanNet's raw ones",
            "--label-ids (of a config: data.label_ids) nyu40 or scannet, to say which",
        )
    return False


def _folders_of(path: Path) -> list[Path]:
    """Where the labels of a `.sens` file may lie. In a folder of several files, label-filt/ is nobody's."""
    folders = [path.with_suffix("")]
    if path.parent.name == path.stem or len(list(path.parent.glob("*.sens"))) == 1:
        folders.append(path.parent)
    return folders
