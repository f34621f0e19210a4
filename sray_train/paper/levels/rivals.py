"""Rivals: what could be used instead of S-Ray, with the same encoder, at keyframes and at new viewpoints.

A keyframe is a source view itself, looked at again; a new viewpoint is a frame that no renderer was given.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from sray.camera import Camera
from sray.errors import FileError, ModelError, NoViewsError
from sray.field import RenderedView, SemanticField
from sray.frames import Frame, SourceViews
from sray.label_space import VOID
from sray.metrics import psnr
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray.sampling import ROOM_BOUNDS, Bounds
from sray_train.paper.baselines.one_shot import OneShot
from sray_train.paper.baselines.picture_labels import NetworkLabels
from sray_train.paper.baselines.voxel_fusion import VoxelFusion, VoxelFusionConfig
from sray_train.score.evaluate import Query, Renderer
from sray_train.score.view_scores import ViewScore, mean_psnr, miou_interval, paired_difference, strict_miou

Where = Literal["keyframe", "new viewpoint"]
PAIRS = (
    ("S-Ray, RGB", "voxels, stereo depth"),
    ("S-Ray, RGB", "one shot, RGB"),
    ("S-Ray, RGB", "2D labels of the picture"),
    ("S-Ray, RGB-D", "voxels, sensor depth"),
    ("S-Ray, RGB-D", "one shot, RGB-D"),
    ("S-Ray, RGB-D", "S-Ray, RGB"),
)
"""What is compared, on the same depth: the first less the second."""


class OfStereo:
    """A renderer that is given the views' stereo depth, where stereo is sure of it, as a sensor's."""

    def __init__(self, renderer: Renderer, model: RayModel) -> None:
        self._renderer = renderer
        self._model = model

    @torch.inference_mode()
    def set_sources(self, views: SourceViews, *, bounds: Bounds | None = None) -> None:
        """Any depth the views have is put away."""
        found = self._model.with_stereo(replace(views, depth=None), bounds or ROOM_BOUNDS)
        self._renderer.set_sources(replace(found, depth=found.trusted_depth, depth_confidence=None), bounds=bounds)

    def render(self, camera: Camera) -> RenderedView:
        return self._renderer.render(camera)


class OwnPicture:
    """2D labels of the source view that stands where the camera is: all that single pictures can say."""

    def __init__(self, labels: NetworkLabels) -> None:
        self._labels = labels
        self._views: SourceViews | None = None

    def set_sources(self, views: SourceViews, *, bounds: Bounds | None = None) -> None:
        self._views = views

    @torch.inference_mode()
    def render(self, camera: Camera) -> RenderedView:
        """Raises NoViewsError if no source view has the camera's pose."""
        if self._views is None:
            raise NoViewsError("render() has no source views", remedy="Call set_sources(views) first")
        poses = self._views.camera.world_from_camera
        away = (poses - camera.relative_to(self._views.camera.origin).world_from_camera).abs().flatten(1).amax(1)
        same = int(away.argmin())
        if away[same] > 1e-5:
            raise NoViewsError("no source view stands where the camera is", "one that does")
        confidence, labels = self._labels(self._views[[same]])[0].max(-1)
        view = RenderedView.blank(camera)
        view.labels.copy_(labels.to(torch.uint8))
        view.confidence.copy_(confidence)
        view.common_color.copy_(self._views.images[same].permute(1, 2, 0))
        return view


@dataclass(frozen=True)
class Rival:
    """A renderer and what it is given."""

    name: str
    renderer: Renderer
    depth: bool = False
    """RGB-D: the sources keep their sensor's depth."""
    at: tuple[Where, ...] = ("keyframe", "new viewpoint")


def rivals(model: RayModel, config: RenderConfig, voxel_size: float) -> list[Rival]:
    """S-Ray first. Raises ModelError if the model has no stereo network: there is no depth from RGB."""
    if model.stereo is None:
        raise ModelError(f"{model.system} has no stereo network", "a checkpoint trained with stereo")
    field, labels = SemanticField(model, config), NetworkLabels(model)
    voxels = VoxelFusion(labels, config=VoxelFusionConfig(voxel_size))
    shot = OneShot(labels, model)
    return [
        Rival("S-Ray, RGB", field),
        Rival("S-Ray, RGB-D", field, depth=True),
        Rival("one shot, RGB", shot),
        Rival("one shot, RGB-D", shot, depth=True),
        Rival("voxels, stereo depth", OfStereo(voxels, model)),
        Rival("voxels, sensor depth", voxels, depth=True),
        Rival("2D labels of the picture", OwnPicture(labels), at=("keyframe",)),
    ]


@dataclass(frozen=True)
class Shown:
    """One picture of one rival."""

    rival: str
    where: Where
    score: ViewScore
    void: float
    seconds: float
    """Processor time of showing it the sources and of rendering."""


def sources_have_depth(query: Query) -> bool:
    """Whether any source view has a sensor's depth."""
    return any(query.scene.frames[index].depth is not None for index in query.sources)


def show(rivals: Sequence[Rival], queries: Sequence[Query], classes: int) -> Iterator[Shown]:
    """Every rival at the target of each query (a new viewpoint), and at its nearest source (a keyframe).

    Raises FileError for a frame without labels.
    """
    for query in queries:
        frames = query.scene.frames
        views = SourceViews.from_frames([frames[index] for index in query.sources])
        places: tuple[tuple[Where, int], ...] = (("new viewpoint", query.target), ("keyframe", query.sources[0]))
        for where, target in places:
            for rival in rivals:
                if where in rival.at:
                    yield _shown(rival, where, frames[target], views, query.scene.bounds, classes)


def _shown(rival: Rival, where: Where, truth: Frame, views: SourceViews, bounds: Bounds, classes: int) -> Shown:
    if truth.labels is None:
        found = f"frame {truth.name} has no labels"
        raise FileError(found, "labels of every frame, to score by", "Take a recording that is labeled")
    began = time.process_time()
    rival.renderer.set_sources(views if rival.depth else replace(views, depth=None), bounds=bounds)
    view = rival.renderer.render(truth.camera)
    seconds = time.process_time() - began
    score = ViewScore.of(view.labels, truth.labels, classes, psnr(view.color, truth.image.float() / 255))
    return Shown(rival.name, where, score, float((view.labels == VOID).float().mean()), seconds)


def rivals_record(found: Sequence[Shown]) -> dict[str, Any]:
    """Scores of every rival at both places, and of PAIRS; intervals over pictures, drawn alike for both of a pair."""
    places: tuple[Where, ...] = ("keyframe", "new viewpoint")
    scores = {(one.rival, where): _of(found, one.rival, where) for one in found for where in places}
    return {
        "scores": [
            {"rival": rival, "where": where} | _scores(shown) for (rival, where), shown in scores.items() if shown
        ],
        "pairs": [
            {"first": first, "second": second, "where": where} | _pair(scores[first, where], scores[second, where])
            for first, second in PAIRS
            for where in places
            if scores.get((first, where)) and scores.get((second, where))
        ],
    }


def _of(found: Sequence[Shown], rival: str, where: Where) -> list[Shown]:
    return [one for one in found if (one.rival, one.where) == (rival, where)]


def _scores(shown: list[Shown]) -> dict[str, Any]:
    views = [one.score for one in shown]
    return {
        "pictures": len(shown),
        "strict_miou": strict_miou(views),
        "interval": miou_interval(views),
        "psnr": mean_psnr(views),
        "void": statistics.fmean(one.void for one in shown),
        "seconds": statistics.median(one.seconds for one in shown),
    }


def _pair(first: list[Shown], second: list[Shown]) -> dict[str, Any]:
    return paired_difference([each.score for each in first], [each.score for each in second])
