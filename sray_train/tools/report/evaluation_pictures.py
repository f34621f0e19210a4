"""The pictures of an evaluation's page, made small enough to stand inside it, as they come."""

from __future__ import annotations

import cv2
import numpy as np

from sray.label_space import LabelSpace
from sray.viewing.pictures import depth_range
from sray_train.score.evaluate import Rendering
from sray_train.tools.report import pictures
from sray_train.tools.report.page import Shown

WIDEST = 480
"""Pixels; larger pictures are shrunk to it: a page with a hundred of them must still open."""


class Gallery:
    """Takes renderings one by one, and keeps their pictures only."""

    def __init__(self, label_space: LabelSpace) -> None:
        self._space = label_space
        self.rows: dict[str, list[tuple[Shown, ...]]] = {}
        """By scene, in the order they were seen."""
        self.present: set[int] = set()
        """Classes that label pictures show."""

    def see(self, rendering: Rendering) -> None:
        truth, view = rendering.truth, rendering.view
        ends = depth_range((view.depth if truth.depth is None else truth.depth).numpy())
        row = tuple(
            Shown(_inline(picture, crisp=crisp), caption, f"{truth.name}: {caption}", crisp)
            for caption, picture, crisp in pictures.compared(self._space, truth, view, ends)
        )
        self.rows.setdefault(rendering.query.scene.name, []).append(row)
        for labels in (view.labels, truth.labels):
            self.present |= set() if labels is None else set(np.unique(labels).tolist())


def _inline(picture: pictures.Picture, *, crisp: bool) -> str:
    height, width = picture.shape[:2]
    if width > WIDEST:
        how = cv2.INTER_NEAREST_EXACT if crisp else cv2.INTER_AREA
        picture = cv2.resize(picture, (WIDEST, max(1, round(height * WIDEST / width))), interpolation=how)
    # Class colors must stay exact; photographs may not weigh ten times as much.
    return pictures.data_uri(picture, jpeg=None if crisp else 92)
