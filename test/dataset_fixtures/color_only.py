"""Scenes of Realistic Synthetic 360 (Blender) and Real Forward-facing (LLFF)."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np

from dataset_fixtures.relief import POSES, View, render


def write_blender(folder: Path, views: list[View], focal: float, part: str = "train") -> Path:
    """Blender's camera: x right, y up, looking along minus z; the angle spans the picture from edge to edge."""
    (folder / part).mkdir(parents=True)
    frames = []
    for number, view in enumerate(views):
        opaque = np.full((*view.rgb.shape[:2], 1), 255, np.uint8)
        cv2.imwrite(str(folder / part / f"r_{number}.png"), np.concatenate([view.rgb[..., ::-1], opaque], -1))
        right, down, forward, center = view.pose[:, 0], view.pose[:, 1], view.pose[:, 2], view.pose[:, 3]
        matrix = [[float(right[i]), float(-down[i]), float(-forward[i]), float(center[i])] for i in range(4)]
        frames.append({"file_path": f"./{part}/r_{number}", "rotation": 0.0126, "transform_matrix": matrix})
    width = views[0].rgb.shape[1]
    record = {"camera_angle_x": 2 * math.atan2(width, 2 * focal), "frames": frames}
    (folder / f"transforms_{part}.json").write_text(json.dumps(record, indent=4))
    return folder


def write_llff(folder: Path, width: int, height: int, focal: float, bounds: list[tuple[float, float]]) -> list[View]:
    """images/ of width x height and images_4/ of a quarter. Gives the views of the latter."""
    rows, small_views = [], []
    for number, (pose, (near, far)) in enumerate(zip(POSES, bounds, strict=True)):
        for name, factor, file in (
            ("images", 1, f"IMG_{4026 + number}.JPG"),
            ("images_4", 4, f"image{number:03d}.png"),
        ):
            w, h, f = width // factor, height // factor, focal / factor
            view = render(np.array([[f, 0, (w - 1) / 2], [0, f, (h - 1) / 2], [0, 0, 1]]), pose, w, h)
            (folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name / file), view.rgb[..., ::-1])
            if factor == 4:
                small_views.append(view)
        right, down, forward, center = pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3]
        matrix = np.stack([down, right, -forward, center, [height, width, focal]], axis=1)
        rows.append([*matrix.ravel(), near, far])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return small_views
