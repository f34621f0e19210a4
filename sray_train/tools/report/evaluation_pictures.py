"""The pictures of an evaluation's page, made small enough to stand inside it, as they come."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from sray.label_space import LabelSpace
from sray.viewing.pictures import depth_range, painted
from sray_train.score.evaluate import Rendering
from sray_train.tools.report import pictures
from sray_train.tools.report.page import Shown

WIDEST = 480
"""Pixels; larger pictures are shrunk to it: a page with a hundred of them must still open."""


@dataclass(frozen=True)
class PictureRow:
    """One rendering beside what it should have been."""

    pictures: tuple[Shown, ...]
    present: frozenset[int]
    """Classes that its label pictures show."""


class Gallery:
    """Takes renderings one by one, and keeps their pictures only."""

    def __init__(self, label_space: LabelSpace) -> None:
        self._space = label_space
        self.rows: dict[str, list[PictureRow]] = {}
        """By scene, in the order they were seen."""

    def see(self, rendering: Rendering) -> None:
        self.rows.setdefault(rendering.query.scene.name, []).append(self._row(rendering))

    def _row(self, rendering: Rendering) -> PictureRow:
        truth, view, space = rendering.truth, rendering.view, self._space
        labels = view.labels.numpy()
        color = (view.color * 255).round().to(torch.uint8).numpy()
        shown = [("color, recorded", truth.image.numpy(), False), ("color, rendered", color, False)]
        present = set(np.unique(labels).tolist())
        if truth.labels is not None:
            true = truth.labels.numpy()
            present |= set(np.unique(true).tolist())
            shown.append(("labels, true", space.colorize(true), True))
        shown.append(("labels, rendered", space.colorize(labels), True))
        if truth.labels is not None:
            shown.append(("error", pictures.error(labels, true), True))
        near, far = ends = depth_range((view.depth if truth.depth is None else truth.depth).numpy())
        scale = f"{near:.1f} m (bright) to {far:.1f} m"
        if truth.depth is not None:
            shown.append((f"depth, true, {scale}", painted(truth.depth.numpy(), "depth", ends), False))
        shown.append((f"depth, rendered, {scale}", painted(view.depth.numpy(), "depth", ends), False))
        return PictureRow(
            tuple(
                Shown(_inline(picture, crisp=crisp), caption, f"{truth.name}: {caption}", crisp)
                for caption, picture, crisp in shown
            ),
            frozenset(present),
        )


def _inline(picture: pictures.Picture, *, crisp: bool) -> str:
    height, width = picture.shape[:2]
    if width > WIDEST:
        how = cv2.INTER_NEAREST_EXACT if crisp else cv2.INTER_AREA
        picture = cv2.resize(picture, (WIDEST, max(1, round(height * WIDEST / width))), interpolation=how)
    # Class colors must stay exact; photographs may not weigh ten times as much.
    return pictures.data_uri(picture, jpeg=None if crisp else 92)
