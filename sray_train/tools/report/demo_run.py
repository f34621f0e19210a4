"""One run of the demo: what came out of the mapper over ROS, beside what went in; and its scores.

Everything is judged from the pictures as received, so that anyone can recompute a score from `labels/` and `truth/`.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sray.frames import Frame
from sray.label_space import VOID, LabelSpace
from sray.mapping.cloud import LabeledCloud
from sray.metrics import ConfusionMatrix, depth_scores, exposure_matched, psnr
from sray_train.score.scores import mean
from sray_train.score.surfaces import NO_SURFACE, SurfaceScores, surface_scores, true_points


@dataclass(frozen=True)
class RecordedView:
    """One rendered view as received, with the real frame of the same stamp; all of one size."""

    stamp_ns: int
    image: NDArray[np.uint8]
    """The real picture, RGB; its frame was not among the sources of the render."""
    labels: NDArray[np.uint8]
    """Class indices; VOID (255) where nothing is known."""
    color: NDArray[np.uint8] | None = None
    """Rendered RGB."""
    depth: NDArray[np.float32] | None = None
    """Rendered depth, meters, NaN where void."""
    confidence: NDArray[np.float32] | None = None
    """Probability of the chosen class."""
    truth: NDArray[np.uint8] | None = None
    """Ground-truth class indices; VOID unlabeled."""
    true_depth: NDArray[np.float32] | None = None
    """The real frame's depth, meters, NaN where there is none. Guides nothing: its frame was not among the sources."""


@dataclass(frozen=True)
class LookAround:
    """What there is to look around in. Paths relative to the page."""

    still: str
    """A view from where no camera was."""
    scene: str
    """The map as a page that needs no server."""
    command: str
    """What opens the viewer."""


@dataclass(frozen=True)
class DemoRun:
    """What the demo played, received and measured."""

    title: str
    source: str
    """What was played, one sentence."""
    label_space: LabelSpace
    views: tuple[RecordedView, ...]
    """In order of stamps."""
    map: LabeledCloud
    path: NDArray[np.float32]
    """Camera centers (frames, 3) in the map, meters."""
    up: NDArray[np.float32]
    """Unit vector against gravity in the map."""
    frames_played: int
    keyframes: int
    clouds: int
    seconds_per_render: tuple[float, ...]
    model_id: str
    model_sha256: str
    rmw: str
    surfaces: tuple[Frame, ...] = ()
    """Frames whose true depth, fused, is what the map is compared with; empty where none has any."""
    keyframe_poses: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4, 4)))
    """map_from_body (keyframes, 4, 4) of the keyframes held at the end; x forward."""
    frustums: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Lines (lines, 2, 3) of the last view's cameras in the map: `sources` and `target`."""
    standins: tuple[str, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds by what they were spent on."""
    facts: dict[str, str] = field(default_factory=dict)
    """Anything else worth a line on the page: size, quality, machine."""
    look_around: LookAround | None = None
    """None: nothing was saved to look around in."""
    caveats: tuple[str, ...] = ()
    """What a reader must know before believing the numbers."""

    @property
    def confusion(self) -> ConfusionMatrix | None:
        """Of all views with ground truth; None if there is none."""
        matrix = ConfusionMatrix(self.label_space.classes)
        scored = [view for view in self.views if view.truth is not None]
        for view in scored:
            assert view.truth is not None
            matrix.update(view.labels, view.truth)
        return matrix if scored and matrix.counts.sum() else None

    @property
    def psnr_color(self) -> float:
        """Mean over the views (dB) of rendered against real color, void pixels included; NaN without any."""
        values = [
            psnr(torch.from_numpy(view.color) / 255, torch.from_numpy(view.image) / 255)
            for view in self.views
            if view.color is not None
        ]
        return statistics.fmean(values) if values else math.nan

    @property
    def psnr_matched(self) -> float:
        """The same after `exposure_matched`: the map has one exposure, each real picture its own."""
        values = []
        for view in self.views:
            if view.color is not None:
                rendered, real = torch.from_numpy(view.color) / 255, torch.from_numpy(view.image) / 255
                values.append(psnr(exposure_matched(rendered, real), real))
        return statistics.fmean(values) if values else math.nan

    @cached_property
    def depth(self) -> dict[str, float]:
        """Mean over the views of each of DepthScores, void pixels being without depth; NaN where there is no truth."""
        found = [
            depth_scores(torch.from_numpy(view.depth), torch.from_numpy(view.true_depth))
            for view in self.views
            if view.depth is not None and view.true_depth is not None
        ]
        return {
            name: mean(getattr(scores, name) for scores in found)
            for name in ("abs_rel", "within_1_25", "within_1_05", "median_error")
        }

    @cached_property
    def map_scores(self) -> SurfaceScores:
        """The map against the fused true depth of the frames that were played."""
        return surface_scores(self.map.points, true_points(self.surfaces)) if self.surfaces else NO_SURFACE

    @property
    def labeled_fraction(self) -> float:
        """Pixels that are not void over all pixels received; 0 without any."""
        total = sum(view.labels.size for view in self.views)
        return sum(int((view.labels != VOID).sum()) for view in self.views) / total if total else 0.0

    def write_report(self, path: Path) -> None:
        path.write_text(json.dumps(self.report(), indent=2) + "\n")

    def report(self) -> dict[str, object]:
        """The content of report.json; its keys are a contract with other tools."""
        matrix = self.confusion
        scores = matrix.strict() if matrix else None
        return {
            "frames_played": self.frames_played,
            "keyframes": self.keyframes,
            "label_images": len(self.views),
            "labelled_fraction": self.labeled_fraction,
            "clouds": self.clouds,
            "map_points": len(self.map),
            "strict_miou": scores.miou if scores else None,
            "total_accuracy": scores.total_accuracy if scores else None,
            "commonest_class_miou": matrix.commonest_class().miou if matrix else None,
            "psnr_color": _or_none(self.psnr_color),
            "psnr_matched": _or_none(self.psnr_matched),
            **{f"depth_{name}": _or_none(value) for name, value in self.depth.items()},
            "map_accuracy": _or_none(self.map_scores.accuracy),
            "map_completeness": _or_none(self.map_scores.completeness),
            "map_f_score_5cm": _or_none(self.map_scores.f_score),
            "seconds_per_render_median": statistics.median(self.seconds_per_render) if self.seconds_per_render else 0.0,
            "model": {"id": self.model_id, "sha256": self.model_sha256},
            "ros": {"rmw": self.rmw, "standins": list(self.standins)},
        }


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
