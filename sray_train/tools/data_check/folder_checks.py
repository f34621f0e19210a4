"""Checks of the files of a folder in ScanNet layout: missing, cut short, of differing sizes. Reads headers only."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sray.errors import FileError, SrayError
from sray.label_space import LabelSpace
from sray.sequence import Sequence, label_folder
from sray_train.data.recording import read_rows
from sray_train.tools.data_check.findings import Finding, listed

Size = tuple[int, int]

KINDS = ("color", "depth", "label-filt")
_PARTS = {"color": "color pictures", "depth": "depth pictures", "label-filt": "label pictures"}


def open_whole_frames(
    folder: Path, label_space: LabelSpace, nyu40_of: NDArray[np.uint8] | None
) -> tuple[Sequence, list[Finding]]:
    """The sequence without frames whose pose file is damaged, and a finding about those.

    Raises FileError if the rest is no sequence either.
    """
    damaged = [path for path in sorted(folder.glob("pose/*.txt")) if not _is_matrix(path)]
    if not damaged:
        return Sequence.open(folder, label_space, nyu40_of, check_intrinsics=False), []
    with tempfile.TemporaryDirectory() as mirror:
        # Sequence.open opens a mirror of the folder, made of links, in which the damaged files are missing.
        for path in folder.iterdir():
            if path.name != "pose":
                (Path(mirror) / path.name).symlink_to(path.resolve())
        poses = Path(mirror) / "pose"
        poses.mkdir()
        for path in folder.glob("pose/*.txt"):
            if path not in damaged:
                (poses / path.name).symlink_to(path.resolve())
        sequence = replace(Sequence.open(mirror, label_space, nyu40_of, check_intrinsics=False), folder=folder)
    names = [path.name for path in damaged]
    finding = Finding(
        "poses-damaged",
        "problem",
        "Pose files cannot be read.",
        f"{len(damaged)} files hold no 4x4 matrix: {', '.join(names[:6])}{' ...' if len(names) > 6 else ''}",
        "The export was interrupted, or wrote another format (a quaternion, 3x4).",
        "Write 4x4 matrices, or remove these files: frames without a pose are skipped.",
        {"files": names},
    )
    return sequence, [finding]


def check_folder(sequence: Sequence, on_progress: Callable[[int, int], None]) -> list[Finding]:
    """What is wrong with the files of all frames."""
    findings: list[Finding] = []
    sizes: dict[str, Size] = {}
    folders = {kind: sequence.folder / kind for kind in KINDS} | {"label-filt": label_folder(sequence.folder)}
    present = [kind for kind in KINDS if folders[kind].is_dir()]
    total, done = len(present) * len(sequence), 0
    for kind in present:
        missing, cut, found = [], [], {}
        for number in sequence.indices:
            path = sequence.file(kind, number)
            size = _size(path)
            if not path.is_file():
                missing.append(number)
            elif size is None or not _is_whole(path):
                cut.append(number)
            else:
                found[number] = size
            done += 1
            if done % 50 == 0:
                on_progress(done, total)
        findings += _absent(kind, missing, cut, len(sequence))
        if found:
            commonest = Counter(found.values()).most_common(1)[0][0]
            sizes[kind] = commonest
            findings += _differing(kind, commonest, {n: s for n, s in found.items() if s != commonest})
    return [*findings, *_shapes(sizes)]


def _is_matrix(path: Path) -> bool:
    try:
        return read_rows(path, "a 4x4 matrix").shape == (4, 4)
    except FileError:
        return False


def _size(path: Path) -> Size | None:
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            return int(width), int(height)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return None


def _is_whole(path: Path) -> bool:
    """Whether the file has its end marker: decoders fill the rest of a picture cut short with gray, silently."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(max(0, path.stat().st_size - 256))
        end = file.read()
    if start.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in end
    return b"IEND" in end if start == b"\x89PNG" else True


def _absent(kind: str, missing: list[int], cut: list[int], total: int) -> Iterator[Finding]:
    if missing:
        yield Finding(
            "files-missing",
            "warning",
            f"{_PARTS[kind].capitalize()} are missing.",
            f"{kind}/: {len(missing)} of {total}: {listed(missing)}",
            "Only some frames have them, or the copy or the export was interrupted.",
            f"Copy or export {kind}/ again. Frames without depth, or without labels, are used for what they have.",
            {"folder": kind, "frames": missing},
        )
    if cut:
        yield Finding(
            "files-cut-short",
            "problem",
            f"{_PARTS[kind].capitalize()} are empty or cut short.",
            f"{kind}/: {len(cut)} of {total}: {listed(cut)}",
            "The copy or the export was interrupted, or the disk was full.",
            f"Copy or export {kind}/ again, or remove these frames with all their files.",
            {"folder": kind, "frames": cut},
        )


def _differing(kind: str, commonest: Size, others: dict[int, Size]) -> Iterator[Finding]:
    if not others:
        return
    counts = Counter(others.values())
    sizes = ", ".join(f"{count} of {size[0]}x{size[1]}" for size, count in counts.most_common(4))
    yield Finding(
        f"{_CODES[kind]}-sizes-differ",
        "problem",
        f"{_PARTS[kind].capitalize()} have differing sizes.",
        f"most of {kind}/ are {commonest[0]}x{commonest[1]}, but {sizes}: frames {listed(sorted(others))}",
        "Two exports were mixed in one folder.",
        "Export all frames at one size.",
        {"folder": kind, "frames": sorted(others)},
    )


_CODES = {"color": "pictures", "depth": "depth", "label-filt": "labels"}


def _shapes(sizes: dict[str, Size]) -> Iterator[Finding]:
    """Depth and labels are resized to the color: that is right only if they have its shape."""
    if "color" not in sizes:
        return
    width, height = sizes["color"]
    for kind in ("depth", "label-filt"):
        if kind not in sizes:
            continue
        own_width, own_height = sizes[kind]
        stretch = own_width / own_height / (width / height)
        if not 0.98 < stretch < 1.02:  # ScanNet's own are 0.4 % apart
            yield Finding(
                f"{_CODES[kind]}-misaligned",
                "problem",
                f"{_PARTS[kind].capitalize()} do not cover what the color pictures show.",
                f"{kind}/ are {own_width}x{own_height}, color/ {width}x{height}: resized, they would be stretched "
                f"by {100 * abs(stretch - 1):.0f} %",
                "They were cropped, turned, or made for another camera.",
                f"Export {kind}/ for the color camera, at a size of its shape.",
                {"folder": kind, "stretch": stretch},
            )


def unopened(folder: Path, error: SrayError) -> Finding:
    """The only finding about a folder that is no sequence at all."""
    return Finding(
        "not-a-recording",
        "problem",
        "The folder cannot be read as a recording.",
        str(error),
        "Files are missing or damaged, or the dataset has another layout.",
        "Mend what the message names, or name the layout with --dataset.",
        {"folder": str(folder)},
    )
