"""Labels of a target view at every level between its own picture and perfect ones. Each level removes one error.

What is rendered is S-Ray; what is a *mean* is the plain mean of the source views' 2D log-likelihoods at one point a
pixel, as in baselines/surface.py. A level has two confusion matrices: of all pixels, and of those away from edges.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from sray.errors import FileError
from sray.field import SemanticField
from sray.frames import Frame, SourceViews
from sray.label_space import VOID
from sray.learning.supervision import pixel_logits
from sray.ray_model import RayModel
from sray.render_config import RenderConfig
from sray.view_selection import pose_scores
from sray.visibility import Surfaces
from sray_train.paper.baselines.surface import Sightings, sightings
from sray_train.score.evaluate import Query
from sray_train.score.view_scores import ViewScore, miou_interval, paired_difference, strict_miou

LEVELS = {
    "picture": "2D labels of the target's own picture",
    "density": "S-Ray, depth from its density alone",
    "rendered": "S-Ray",
    "mean_density": "mean of the views at the depth of the density alone",
    "mean_rendered": "mean of the views at S-Ray's depth",
    "mean_true": "mean of all views at true depth",
    "mean_visible": "mean of the views that see it, at true depth",
    "true_rendered": "true labels of the views at S-Ray's depth",
    "true_visible": "true labels of the views that see it, at true depth",
}
"""What each level is. `rendered` and `mean_rendered`: with stereo, where the model has a stereo network."""
EDGE = 2
"""Pixels: nearer to another label than this a pixel is at an edge."""


@dataclass(frozen=True)
class Measured:
    """One target view."""

    scene: str
    frame: str
    everywhere: dict[str, ViewScore]
    """By the names of LEVELS."""
    inside: dict[str, ViewScore]
    """The same without pixels at edges."""
    distance: float
    """Median of the source views' distance from the target, meters."""
    angle: float
    """Median of the angle between them, degrees."""
    occluded: float
    """Share of the target's surface points inside a source view's image that something hides from it, by true depth."""


class LevelReader:
    """Measures the levels of one model. Encodes every frame of a scene once. Works on the CPU."""

    def __init__(self, model: RayModel, config: RenderConfig) -> None:
        self._field = SemanticField(model, config)
        alone = copy.deepcopy(self._field.model)
        alone.stereo = None
        self._density = SemanticField(alone, config)
        self._encoded: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}

    @torch.inference_mode()
    def measure(self, query: Query) -> Measured:
        """Raises FileError for a target or source without labels or depth: without them there is no truth."""
        scene, bounds = query.scene, query.scene.bounds
        truth = scene.frames[query.target]
        sources = [scene.frames[index] for index in query.sources]
        for frame in (truth, *sources):
            if frame.labels is None or frame.depth is None:
                found = f"frame {frame.name} of {scene.name} has no {'labels' if frame.labels is None else 'depth'}"
                raise FileError(found, "labels and depth of every frame, to tell true levels by", "Take another scene")
        assert truth.labels is not None and truth.depth is not None
        known = SourceViews.from_frames(sources)
        bare = SourceViews(known.images, known.camera)
        encoded = [self._encode(query, index, frame) for index, frame in zip(query.sources, sources, strict=True)]
        features, said = (torch.stack(part) for part in zip(*encoded, strict=True))
        seen = self._field.model.with_stereo(bare, bounds, features)
        self._field.set_sources(seen, features, bounds)
        self._density.set_sources(bare, features, bounds)
        rendered, density = self._field.render(truth.camera), self._density.render(truth.camera)
        right = torch.stack([_one_hot(frame, said.shape[-1]) for frame in sources])
        camera, own = truth.camera, Surfaces.of(seen)
        at_own = sightings(camera, rendered.depth_with_void, bare, own)
        at_true = sightings(camera, truth.depth, bare, Surfaces.of(known))
        shape = truth.labels.shape
        labels = {
            "picture": self._encode(query, query.target, truth)[1].argmax(-1).to(torch.uint8),
            "density": density.labels,
            "rendered": rendered.labels,
            "mean_density": _labels(sightings(camera, density.depth_with_void, bare, None), said, shape),
            "mean_rendered": _labels(at_own, said, shape),
            "mean_true": _labels(sightings(camera, truth.depth, bare, None), said, shape),
            "mean_visible": _labels(at_true, said, shape),
            "true_rendered": _labels(at_own, right, shape),
            "true_visible": _labels(at_true, right, shape),
        }
        poses = pose_scores(camera, known.camera)
        inner = torch.where(at_edges(truth.labels), VOID, truth.labels)
        return Measured(
            scene.name,
            truth.name,
            {name: ViewScore.of(found, truth.labels, said.shape[-1]) for name, found in labels.items()},
            {name: ViewScore.of(found, inner, said.shape[-1]) for name, found in labels.items()},
            float(poses.distance.median()),
            float(torch.rad2deg(poses.angle).median()),
            at_true.hidden / max(1, at_true.inside),
        )

    def _encode(self, query: Query, index: int, frame: Frame) -> tuple[Tensor, Tensor]:
        """Features of a frame's picture, and its log-likelihoods (height, width, classes)."""
        key = query.scene.name, index
        if key not in self._encoded:
            if not any(scene == query.scene.name for scene, _ in self._encoded):
                self._encoded.clear()  # another scene: frames of the one before are not asked for again
            model, camera = self._field.model, frame.camera
            features = self._field.encode(frame.image, camera)
            scale = model.reading_scale(features[None], camera)
            logits = pixel_logits(model, features[None], camera.pixel_grid()[None], scale)[0]
            said = torch.log_softmax(logits.float(), -1).reshape(camera.height, camera.width, -1)
            self._encoded[key] = features, said
        return self._encoded[key]


def at_edges(labels: UInt8[Tensor, "height width"]) -> Bool[Tensor, "height width"]:
    """Pixels within EDGE pixels, in rows or columns, of one with another label. Void counts as a label of its own."""
    values = labels.float()[None, None]
    window = 2 * EDGE + 1
    padded = F.pad(values, (EDGE,) * 4, mode="replicate")
    highest, lowest = F.max_pool2d(padded, window, 1), -F.max_pool2d(-padded, window, 1)
    return (highest != lowest)[0, 0]


def chain() -> Iterator[tuple[str, str, str]]:
    """The steps of the waterfall, from what is rendered to perfect labels: name, level before, level after."""
    yield "stereo depth", "density", "rendered"
    yield "plain mean for attention, weights and compositing", "rendered", "mean_rendered"
    yield "true depth for its own", "mean_rendered", "mean_true"
    yield "only views that see it", "mean_true", "mean_visible"
    yield "true labels for 2D ones", "mean_visible", "true_visible"


def _labels(found: Sightings, values: Float[Tensor, "views height width classes"], shape: torch.Size) -> Tensor:
    mean = found.mean(values)
    said = mean.abs().sum(-1) > 0  # no view counts, or all that do are void there
    return torch.where(said, mean.argmax(-1).to(torch.uint8), VOID).reshape(shape)


def _one_hot(frame: Frame, classes: int) -> Float[Tensor, "height width classes"]:
    """Votes of a frame's true labels; a void pixel has none."""
    assert frame.labels is not None
    votes = F.one_hot(torch.where(frame.labels == VOID, classes, frame.labels.long()), classes + 1)
    return votes[..., :classes].float()


def levels_record(found: Sequence[Measured]) -> dict[str, Any]:
    """Strict mIoU of every level over all views, and of every step; intervals are over views, drawn with replacement.

    A step's interval is paired: the same views are drawn on both sides. Raises ValueError for no view.
    """
    if not found:
        raise ValueError("no view was measured; expected at least one")
    return {
        "views": len(found),
        "scenes": sorted({one.scene for one in found}),
        "source_distance_m": statistics.median(one.distance for one in found),
        "source_angle_degrees": statistics.median(one.angle for one in found),
        "occluded": statistics.fmean(one.occluded for one in found),
        "levels": {name: {"what": what} | _level(found, name) for name, what in LEVELS.items()},
        "steps": [{"step": step} | _step(found, before, after) for step, before, after in chain()],
    }


def _level(found: Sequence[Measured], name: str) -> dict[str, Any]:
    everywhere = [one.everywhere[name] for one in found]
    return {
        "strict_miou": strict_miou(everywhere),
        "interval": miou_interval(everywhere),
        "strict_miou_away_from_edges": strict_miou([one.inside[name] for one in found]),
        "per_scene": {
            scene: strict_miou([one.everywhere[name] for one in found if one.scene == scene])
            for scene in sorted({one.scene for one in found})
        },
    }


def _step(found: Sequence[Measured], before: str, after: str) -> dict[str, Any]:
    first, second = ([one.everywhere[name] for one in found] for name in (before, after))
    return {"before": before, "after": after} | paired_difference(second, first)
