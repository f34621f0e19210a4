"""A session's keyframes as a recording in ScanNet's layout, which training, fine-tuning and the player read."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from sray.calibration import why_implausible
from sray.errors import FileError
from sray.files import failure
from sray.frames import Frame
from sray.label_space import VOID
from sray.mapping.session import Session
from sray.sequence_writer import SequenceWriter

FARTHEST = 65.535
"""Meters: what a depth picture of the layout can say."""


def export_sequence(session: Session, folder: Path) -> int:
    """Write each keyframe as the file of its number; returns how many. The folder appears whole or not at all.

    If any keyframe has depth (or labels), those without get a picture that knows none: a reader wants one for each.
    Pictures become JPEG, depth whole millimeters up to 65.5 m, labels NYU40 ids; stamps and names are lost.
    Raises FileError if the folder exists, there is nothing to write, or the layout cannot hold it (several
    cameras, pictures cut out of larger ones, ids beyond 255), and DiskFullError.
    """
    if folder.exists() or folder.is_symlink():
        raise FileError(f"{folder} exists", "a free name")
    _refuse_what_does_not_fit(session)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        writer = SequenceWriter(partial, session.label_space)
        has_depth = any(frame.depth is not None for _, frame in session.keyframes)
        has_labels = any(frame.labels is not None for _, frame in session.keyframes)
        for number, frame in session.keyframes:
            writer.add(number, _completed(frame, has_depth, has_labels))
        partial.rename(folder)
    except OSError as error:
        expected = "a folder that can be written to, with room"
        raise failure(f"cannot write {folder}", error, expected, "Free some space, or give another path") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(session.keyframes)


def _refuse_what_does_not_fit(session: Session) -> None:
    if not session.keyframes:
        raise FileError("the session holds no keyframes", "some to export")
    camera = session.keyframes[0][1].camera
    first = camera.intrinsics
    if why := why_implausible(first.double().numpy(), camera.width, camera.height):
        raise FileError(
            f"the session's keyframes have {why.found}",
            f"{why.expected}, or nobody can read the recording",
            "The layout has K alone; of pictures cut out of larger ones or squeezed, map the whole ones",
        )
    for number, frame in session.keyframes:
        if not torch.allclose(first, frame.camera.intrinsics):
            raise FileError(
                f"keyframe {number} was taken by another camera than keyframe {session.keyframes[0][0]}",
                "one calibration, as the layout holds",
                "Map one camera at a time",
            )
    if max(session.label_space.nyu40) > 255:
        raise FileError(f"label space {session.label_space.name} has ids beyond 255", "NYU40 ids")


def _completed(frame: Frame, has_depth: bool, has_labels: bool) -> Frame:
    depth, labels = frame.depth, frame.labels
    if has_depth and depth is None:
        depth = torch.full(frame.image.shape[:2], torch.nan)
    if depth is not None:
        depth = torch.where((depth > 0) & (depth <= FARTHEST), depth, torch.nan)  # the writer would clip to a wall
    if has_labels and labels is None:
        labels = torch.full(frame.image.shape[:2], VOID, dtype=torch.uint8)
    return replace(frame, depth=depth, labels=labels)
