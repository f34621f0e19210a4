"""Scenes as nerfstudio, COLMAP and TUM RGB-D have them, of any lens, each written from its own documentation."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from dataset_fixtures.relief import POSES, View, render

WIDTH, HEIGHT = 64, 48
K = np.array([[50.0, 0, 34.0], [0, 46.0, 22.0], [0, 0, 1]])
"""Neither square pixels nor in the middle."""


def through_a_lens(coefficients: list[float], *, fisheye: bool = False) -> list[View]:
    """What cameras at POSES see through a lens (k1 k2 p1 p2 ..., or k1 k2 k3 k4 of a fisheye)."""
    columns, rows = np.meshgrid(np.arange(WIDTH, dtype=float), np.arange(HEIGHT, dtype=float))
    pixels = np.stack([columns, rows], -1).reshape(-1, 1, 2)
    if fisheye:
        points = cv2.fisheye.undistortPoints(pixels, K, np.array(coefficients))
    else:
        stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
        points = cv2.undistortPointsIter(pixels, K, np.array(coefficients), np.eye(3), np.eye(3), stop)
    rays = np.concatenate([points.reshape(HEIGHT, WIDTH, 2), np.ones((HEIGHT, WIDTH, 1))], -1)
    return [render(K, pose, WIDTH, HEIGHT, rays) for pose in POSES]


def png(picture: np.ndarray, orientation: int = 1) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    Image.fromarray(picture).save(file, "PNG", exif=exif)
    return file.getvalue()


def write_nerfstudio(folder: Path, views: list[View], lens: dict[str, Any], **top: Any) -> Path:
    """transforms.json: OpenGL's axes; cx counts from the left edge of the picture."""
    (folder / "images").mkdir(parents=True)
    frames = []
    for number, view in enumerate(views):
        (folder / "images" / f"frame_{number}.png").write_bytes(png(view.rgb))
        matrix = view.pose @ np.diag([1.0, -1, -1, 1])
        frames.append({"file_path": f"images/frame_{number}.png", "transform_matrix": matrix.tolist()})
    camera = {"fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5, "w": WIDTH, "h": HEIGHT}
    (folder / "transforms.json").write_text(json.dumps({**camera, **lens, **top, "frames": frames}))
    return folder


def write_colmap(folder: Path, views: list[View], model: str, parameters: list[float]) -> Path:
    """sparse/0 as text: camera_from_world, quaternion w first, pixels that count from the corner."""
    (folder / "images").mkdir(parents=True)
    (folder / "sparse" / "0").mkdir(parents=True)
    lines = ["# Image list", "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME"]
    points = []
    for number, view in enumerate(views):
        name = f"a picture {number}.png"  # names may have spaces
        (folder / "images" / name).write_bytes(png(view.rgb))
        camera_from_world = np.linalg.inv(view.pose)
        x, y, z, w = Rotation.from_matrix(camera_from_world[:3, :3]).as_quat()
        numbers = " ".join(repr(float(value)) for value in (w, x, y, z, *camera_from_world[:3, 3]))
        lines += [f"{number + 1} {numbers} 7 {name}", "" if number % 2 else "1.5 2.5 -1 3.5 4.5 17"]
        points += [view.pose[:3, :3] @ [0, 0, depth] + view.pose[:3, 3] for depth in np.linspace(1, 4, 20)]
    (folder / "sparse" / "0" / "images.txt").write_text("\n".join(lines) + "\n")
    values = " ".join(repr(float(value)) for value in parameters)
    (folder / "sparse" / "0" / "cameras.txt").write_text(f"# Camera list\n7 {model} {WIDTH} {HEIGHT} {values}\n")
    rows = [f"{n} {p[0]} {p[1]} {p[2]} 255 0 0 0.5 1 2" for n, p in enumerate(points)]
    (folder / "sparse" / "0" / "points3D.txt").write_text("\n".join(["# 3D point list", *rows]) + "\n")
    return folder


def write_tum(folder: Path, views: list[View], calibration: str) -> Path:
    """rgb.txt, depth.txt, groundtruth.txt: the stamps of each are others, a few milliseconds apart."""
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    lists: dict[str, list[str]] = {"rgb": ["# color images"], "depth": ["# depth maps"], "groundtruth": ["# stamp tx"]}
    for number, view in enumerate(views):
        stamp = 1305031102 + number
        lists["rgb"].append(f"{stamp}.175304 rgb/{stamp}.175304.png")
        (folder / "rgb" / f"{stamp}.175304.png").write_bytes(png(view.rgb))
        lists["depth"].append(f"{stamp}.160407 depth/{stamp}.160407.png")
        units = (view.depth * 5000).round().astype(np.uint16)
        cv2.imwrite(str(folder / "depth" / f"{stamp}.160407.png"), units)
        quaternion = Rotation.from_matrix(view.pose[:3, :3]).as_quat()
        for shift, place in ((0.18, view.pose[:3, 3]), (0.4, np.zeros(3))):
            numbers = " ".join(f"{value:.9f}" for value in (stamp + shift, *place, *quaternion))
            lists["groundtruth"].append(numbers)
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    if calibration:
        (folder / "calibration.txt").write_text(calibration)
    return folder
