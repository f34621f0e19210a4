"""For tests of `sray data check`: recordings with one fault each, and what is found in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sray.label_space import ROOMS
from sray_train.tools.data_check.check import CheckResult, check_recording
from sray_train.tools.data_check.opening import open_recordings

Matrix = NDArray[np.float64]


def check(folder: Path, label_ids: str = "auto", label_space: str = "rooms") -> CheckResult:
    ((recording, known),) = open_recordings(folder, "auto", label_space, label_ids)
    return check_recording(recording, ROOMS, known=known)


def problems(result: CheckResult) -> list[str]:
    return [finding.code for finding in result.findings if finding.severity == "problem"]


def warnings(result: CheckResult) -> list[str]:
    return [finding.code for finding in result.findings if finding.severity == "warning"]


# Faults: each rewrites the files of a copy
def change_poses(folder: Path, change: Callable[[Matrix], Matrix]) -> None:
    for path in (folder / "pose").glob("*.txt"):
        np.savetxt(path, change(np.loadtxt(path)), fmt="%.9g")


def change_intrinsics(folder: Path, change: Callable[[Matrix], Matrix]) -> None:
    path = folder / "intrinsic" / "intrinsic_color.txt"
    matrix = np.loadtxt(path)
    matrix[:3, :3] = change(matrix[:3, :3].copy())
    np.savetxt(path, matrix, fmt="%.9g")


def change_depth(folder: Path, change: Callable[[Matrix], Matrix]) -> None:
    for path in (folder / "depth").glob("*.png"):
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float64)
        cv2.imwrite(str(path), change(raw).round().clip(0, 65535).astype(np.uint16))


def change_labels(folder: Path, ids: dict[int, int], kind: type = np.uint8, other: int = 0) -> None:
    """`ids`: NYU40 id -> id to be written; `other` for the rest."""
    table = np.full(256, other, kind)
    table[list(ids)] = list(ids.values())
    for path in (folder / "label-filt").glob("*.png"):
        cv2.imwrite(str(path), table[cv2.imread(str(path), cv2.IMREAD_UNCHANGED)])


def resized_intrinsics(scale: float) -> Callable[[Matrix], Matrix]:
    """K of the same pictures `scale` times as large: c' = s (c + 0.5) - 0.5."""

    def change(matrix: Matrix) -> Matrix:
        matrix[:2, :2] *= scale
        matrix[:2, 2] = scale * (matrix[:2, 2] + 0.5) - 0.5
        return matrix

    return change


def scaled_translation(factor: float) -> Callable[[Matrix], Matrix]:
    def change(pose: Matrix) -> Matrix:
        pose[:3, 3] *= factor
        return pose

    return change


def doubled_focal(matrix: Matrix) -> Matrix:
    matrix[0, 0] *= 2
    matrix[1, 1] *= 2
    return matrix


def y_and_z_flipped(pose: Matrix) -> Matrix:
    """The same camera described with OpenGL's axes."""
    return pose @ np.diag([1.0, -1.0, -1.0, 1.0])


RAW_SCANNET = {1: 1, 2: 3, 3: 7, 4: 11, 5: 2, 6: 6, 7: 4, 8: 5, 9: 16, 10: 18, 11: 15, 14: 9, 16: 22, 22: 41, 35: 74}
"""NYU40 id -> an id that scannetv2-labels.combined.tsv maps to it."""
REPLICA = {1: 93, 2: 40, 3: 14, 4: 7, 5: 20, 6: 76, 7: 80, 8: 37, 9: 97, 10: 78, 11: 59, 14: 23, 16: 30, 22: 31, 35: 47}
ROOM_INDICES = {nyu40: index for index, nyu40 in enumerate(ROOMS.nyu40)}

Fault = Callable[[Path], None]

MAIN_FAULTS: dict[str, tuple[Fault, str]] = {
    "camera_from_world": (lambda folder: change_poses(folder, np.linalg.inv), "poses-inverted"),
    "K of 324x243": (lambda folder: change_intrinsics(folder, resized_intrinsics(2.025)), "intrinsics-resolution"),
    "5000 a meter": (lambda folder: change_depth(folder, lambda raw: 5 * raw), "depth-unit"),
    "raw ScanNet ids": (lambda folder: change_labels(folder, RAW_SCANNET, np.uint16, 56), "labels-other-space"),
}
FURTHER_FAULTS: dict[str, tuple[Fault, str]] = {
    "OpenGL": (lambda folder: change_poses(folder, y_and_z_flipped), "poses-opengl"),
    "inverted OpenGL": (
        lambda folder: change_poses(folder, lambda pose: np.linalg.inv(y_and_z_flipped(pose))),
        "poses-inverted-opengl",
    ),
    "poses in mm": (lambda folder: change_poses(folder, scaled_translation(1000)), "poses-unit"),
    "poses in cm": (lambda folder: change_poses(folder, scaled_translation(100)), "poses-unit"),
    "K of 80x60": (lambda folder: change_intrinsics(folder, resized_intrinsics(0.5)), "intrinsics-resolution"),
    "focal of 320x240": (lambda folder: change_intrinsics(folder, doubled_focal), "intrinsics-focal"),
    "1/10 mm": (lambda folder: change_depth(folder, lambda raw: 10 * raw), "depth-unit"),
    "meters": (lambda folder: change_depth(folder, lambda raw: raw / 1000), "depth-unit"),
    "inverse depth": (lambda folder: change_depth(folder, lambda raw: 2e7 / np.maximum(raw, 400)), "depth-inverse"),
    "indices": (lambda folder: change_labels(folder, ROOM_INDICES, other=255), "labels-other-space"),
    "small raw ids": (lambda folder: change_labels(folder, RAW_SCANNET | {22: 0, 35: 28}), "labels-other-space"),
    "Replica's ids": (lambda folder: change_labels(folder, REPLICA), "labels-other-space"),
}


def broken(folder: Path, into: Path, fault: Fault) -> Path:
    shutil.copytree(folder, into, copy_function=shutil.copyfile)
    for path in (into, *into.rglob("*")):
        path.chmod(0o755)
    fault(into)
    return into
