"""ScanNet scenes: exported folders, label archives, the table of ids, and `.sens` files byte by byte."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np

from dataset_fixtures.relief import NAMES, View

NYU40_IDS = {"wall": 1, "window": 9, "ceiling": 22, "floor": 2, "blinds": 13, "door": 8, "picture": 11, "table": 7}
RAW_IDS = {"wall": 1, "window": 16, "ceiling": 41, "floor": 3, "blinds": 86, "door": 5, "picture": 15, "table": 4}
TABLE = "scannetv2-labels.combined.tsv"
LOST = np.full((4, 4), -np.inf)
"""The pose of a frame whose tracking was lost."""


def label_png(view: View, ids: dict[str, int], dtype: type = np.uint16) -> bytes:
    table = np.array([ids[name] for name in NAMES], dtype)
    return cv2.imencode(".png", table[view.classes])[1].tobytes()


def write_table(path: Path, columns: tuple[str, ...] = ("id", "raw_category", "category", "count", "nyu40id")) -> Path:
    """The table of ids with ScanNet's columns. Quotation marks in it mean nothing: people typed the categories."""
    rows = [{"id": 1163, "raw_category": '"object', "nyu40id": 40}]
    rows += [{"id": RAW_IDS[name], "raw_category": name, "nyu40id": NYU40_IDS[name]} for name in NAMES]
    lines = ["\t".join(columns), *("\t".join(str(row.get(column, "")) for column in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def matrix_text(matrix: np.ndarray) -> str:
    return "".join(" ".join(f"{value:f}" for value in row) + "\n" for row in matrix)


def padded(intrinsics: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = intrinsics
    return matrix


def write_folder(folder: Path, views: list[View], intrinsics: np.ndarray, ids: dict[str, int], dtype=np.uint16) -> Path:
    """An exported scene with labels."""
    for name in ("color", "depth", "pose", "label-filt", "intrinsic"):
        (folder / name).mkdir(parents=True)
    for name in ("intrinsic_color", "intrinsic_depth"):
        (folder / "intrinsic" / f"{name}.txt").write_text(matrix_text(padded(intrinsics)))
    for number, view in enumerate(views):
        jpeg = cv2.imencode(".jpg", view.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
        (folder / "color" / f"{number}.jpg").write_bytes(jpeg.tobytes())
        png = cv2.imencode(".png", (view.depth * 1000).round().astype(np.uint16))[1]
        (folder / "depth" / f"{number}.png").write_bytes(png.tobytes())
        (folder / "pose" / f"{number}.txt").write_text(matrix_text(view.pose))
        (folder / "label-filt" / f"{number}.png").write_bytes(label_png(view, ids, dtype))
    return folder


def write_label_archive(path: Path, views: list[View], ids: dict[str, int]) -> Path:
    """<scene>_2d-label-filt.zip: label-filt/N.png."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("label-filt/", b"")
        for number, view in enumerate(views):
            archive.writestr(f"label-filt/{number}.png", label_png(view, ids))
    return path


def sens_header(
    color_intrinsics: np.ndarray,
    depth_intrinsics: np.ndarray,
    color_size: tuple[int, int],
    depth_size: tuple[int, int],
    frames: int,
    *,
    codecs: tuple[int, int] = (2, 1),
    rig_from_color: np.ndarray | None = None,
    rig_from_depth: np.ndarray | None = None,
    version: int = 4,
    units: float = 1000.0,
    sensor: bytes = b"StructureSensor",
) -> bytes:
    matrices = (
        padded(color_intrinsics),
        np.eye(4) if rig_from_color is None else rig_from_color,
        padded(depth_intrinsics),
        np.eye(4) if rig_from_depth is None else rig_from_depth,
    )
    return b"".join(
        [
            struct.pack("<I", version),
            struct.pack("<Q", len(sensor)) + sensor,
            *(struct.pack("<16f", *matrix.ravel()) for matrix in matrices),
            struct.pack("<i", codecs[0]),
            struct.pack("<i", codecs[1]),
            struct.pack("<IIII", *color_size, *depth_size),
            struct.pack("<f", units),
            struct.pack("<Q", frames),
        ]
    )


def sens_frame(
    pose: np.ndarray,
    rgb: np.ndarray,
    depth: np.ndarray,
    *,
    codecs: tuple[int, int] = (2, 1),
    units: float = 1000.0,
    stamp: int = 0,
) -> bytes:
    """`depth`: meters, at the depth camera's size. `stamp`: microseconds."""
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    color = {
        0: lambda: rgb.tobytes(),
        1: lambda: cv2.imencode(".png", bgr)[1].tobytes(),
        2: lambda: cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes(),
    }[codecs[0]]()
    raw = (depth * units).round().astype("<u2").tobytes()
    packed = zlib.compress(raw) if codecs[1] == 1 else raw
    return b"".join(
        [
            struct.pack("<16f", *pose.ravel()),
            struct.pack("<QQ", stamp, stamp + 7),
            struct.pack("<QQ", len(color), len(packed)),
            color,
            packed,
        ]
    )


MOTION_READINGS = struct.pack("<Q", 1) + bytes(15 * 8) + struct.pack("<Q", 123)
"""What follows the frames: a count, and readings of 15 doubles and a stamp."""
