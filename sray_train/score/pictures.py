"""Scores of a checkpoint's 2D half on single labeled pictures: no poses, nothing rendered."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from sray.frames import SourceViews
from sray.label_space import VOID, LabelSpace
from sray.metrics import NO_DEPTH, ConfusionMatrix
from sray.segmentation.between_spaces import likeliest
from sray_train.data.labeled_pictures import LabeledPictures
from sray_train.paper.baselines.picture_labels import PictureLabels
from sray_train.score.scores import Evaluation, PictureScores, Scoreboard


def evaluate_pictures(
    pictures: LabeledPictures,
    network: PictureLabels,
    label_space: LabelSpace,
    *,
    width: int = 0,
    on_picture: Callable[[PictureScores, Scoreboard], None] = lambda scores, board: None,
) -> Evaluation:
    """Score every picture; together they are one scene.

    `network` says probabilities of the classes of `label_space`. `width`: pictures and labels are resized to it, and
    keep their aspect; 0: they keep their size.
    """
    board = Scoreboard(label_space)
    for position in range(len(pictures)):
        frame = pictures[position]
        if width:
            frame = frame.resized(width, max(1, round(width * frame.camera.height / frame.camera.width)))
        began = time.perf_counter()
        labels = likeliest(network(SourceViews.from_frames([frame]))[0])
        seconds = time.perf_counter() - began
        confusion = ConfusionMatrix(label_space.classes)
        if frame.labels is not None:
            confusion.update(labels, frame.labels)
        void = float((labels == VOID).to(torch.float32).mean())
        unknown = (math.nan,) * 4
        scores = PictureScores(pictures.folder.name, frame.name, confusion, *unknown, NO_DEPTH, NO_DEPTH, void, seconds)
        board.take(scores)
        on_picture(scores, board)
    return board.evaluation()


def taught_by(lineage: Any) -> set[str]:
    """The folders of single pictures (`data.pictures`) that a checkpoint or one of its parents was trained with."""
    if not isinstance(lineage, dict):
        return set()
    data = lineage.get("data")
    found = {data["pictures"]} if isinstance(data, dict) and isinstance(data.get("pictures"), str) else set()
    return found.union(*map(taught_by, lineage.values())) - {""}
