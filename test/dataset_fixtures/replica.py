"""A sequence of Replica in Semantic-NeRF's layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dataset_fixtures.relief import NAMES, View

IDS = {"wall": 93, "window": 97, "ceiling": 31, "floor": 40, "blinds": 12, "door": 37, "picture": 59, "table": 80}
"""Replica's class ids."""


def write_sequence(folder: Path, views: list[View]) -> Path:
    for name in ("rgb", "depth", "semantic_class"):
        (folder / name).mkdir(parents=True)
    table = np.array([IDS[name] for name in NAMES], np.uint8)
    for number, view in enumerate(views):
        cv2.imwrite(str(folder / "rgb" / f"rgb_{number}.png"), view.rgb[..., ::-1])
        # habitat-sim's meters, cut to whole millimeters.
        cv2.imwrite(str(folder / "depth" / f"depth_{number}.png"), (view.depth * 1000).astype(np.uint16))
        cv2.imwrite(str(folder / "semantic_class" / f"semantic_class_{number}.png"), table[view.classes])
        colored = np.repeat(table[view.classes][..., None], 3, axis=2)
        cv2.imwrite(str(folder / "semantic_class" / f"vis_sem_class_{number}.png"), colored)
    rows = [" ".join(repr(float(value)) for value in view.pose.ravel()) for view in views]
    (folder / "traj_w_c.txt").write_text("\n".join(rows) + "\n")
    return folder
