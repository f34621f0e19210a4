"""Figures 1, 4, 5, 8 and 9: one held-out picture, rendered by several contenders from the same sources, with scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sray.checkpoint import Checkpoint
from sray.field import RenderedView, SemanticField
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray.viewing.pictures import depth_range, painted
from sray_train.paper.figures.contenders import Contender, Gap, StudyFolder
from sray_train.score.evaluate import Query, render_queries
from sray_train.score.scores import PictureScores, Scoreboard
from sray_train.tools.report import pictures
from sray_train.tools.report.pictures import Picture

ERROR_SHOWN = 0.3
"""Difference of color (mean over red, green and blue, 0..1) that is as bright as it gets."""


@dataclass(frozen=True)
class Rendered:
    """A picture, rendered by a contender, and its scores."""

    view: RenderedView
    scores: PictureScores


class Gallery:
    """Renders every contender once for every picture, from the same sources, RGB alone."""

    def __init__(self, study: StudyFolder, label_space: LabelSpace, quality: str) -> None:
        self.label_space = label_space
        self._study = study
        self._config = RenderConfig.preset(quality)
        self._made: dict[tuple[str, int, Contender], Rendered | Gap] = {}

    def render(self, query: Query, contender: Contender) -> Rendered | Gap:
        """The picture, or why there is none."""
        key = (query.scene.name, query.target, contender)
        if key not in self._made:
            frame = query.scene.frames[query.target]
            checkpoint = self._study.load(contender, query.scene.name, frame.name, self.label_space)
            self._made[key] = checkpoint if isinstance(checkpoint, Gap) else self._rendered(checkpoint, query)
        return self._made[key]

    def _rendered(self, checkpoint: Checkpoint[RayModel], query: Query) -> Rendered:
        field = SemanticField(checkpoint.model, self._config)
        rendering = next(render_queries(field, [query]))
        board = Scoreboard(self.label_space)
        return Rendered(rendering.view, board.add(query.scene.name, rendering.truth, rendering.view, rendering.seconds))


def photograph(image: torch.Tensor) -> Picture:
    """Colors in 0..1, (height, width, 3), as a picture."""
    picture: Picture = (255 * image).round().to(torch.uint8).numpy()
    return picture


def label_pictures(space: LabelSpace, truth: Frame, view: RenderedView) -> list[Picture]:
    """Labels, and where there is ground truth their errors."""
    labels = view.labels.numpy()
    shown = [space.colorize(labels)]
    return shown if truth.labels is None else [*shown, pictures.error(labels, truth.labels.numpy())]


def color_pictures(truth: Frame, view: RenderedView) -> list[Picture]:
    """Color, and how far it is from the recorded one."""
    difference = (view.color - truth.image.float() / 255).abs().mean(-1) / ERROR_SHOWN
    return [photograph(view.color), difference_colors(difference.numpy())]


def depth_picture(view_depth: torch.Tensor, truth: Frame) -> Picture:
    """Depth on the scale of the recorded one, or its own where none was recorded."""
    scale = view_depth if truth.depth is None else truth.depth
    return painted(view_depth.numpy(), "depth", depth_range(scale.numpy()))


def difference_colors(difference: NDArray[np.float32]) -> Picture:
    """0 white to 1 black through red."""
    return painted(1 - difference, "confidence", (0.0, 1.0))
