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
from numpy.typing import NDArray

from sray.field import RenderedView
from sray.frames import Frame
from sray.label_space import LabelSpace
from sray.mapping.cloud import LabeledCloud
from sray.metrics import mean
from sray_train.score.scores import PictureScores, Summary
from sray_train.score.surfaces import NO_SURFACE, surface_scores, true_points

REPORTED = (
    "strict_miou", "total_accuracy", "commonest_class_miou", "psnr_color", "psnr_matched", "depth_abs_rel",
    "depth_within_1_25", "depth_within_1_05", "depth_median_error", "map_accuracy", "map_completeness",
    "map_f_score_5cm",
)  # fmt: skip
"""Scores by their names in records."""


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
    views: tuple[tuple[Frame, RenderedView], ...]
    """In order of stamps: a frame, which was not among the sources, and its rendering as received; of one size.

    NaN where a picture was not received."""
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

    @cached_property
    def scores(self) -> Summary:
        """Of the views as received, in which void pixels have no depth; of the map beside all true depth, fused."""
        classes = self.label_space.classes
        surfaces = surface_scores(self.map.points, true_points(self.surfaces)) if self.surfaces else NO_SURFACE
        return Summary(
            self.title,
            tuple(PictureScores.of("", truth, view, math.nan, classes) for truth, view in self.views),
            (surfaces,),
        )

    @property
    def scored(self) -> bool:
        """Whether any pixel had a label to compare with."""
        return bool(self.scores.confusion.counts.sum())

    @property
    def labeled_fraction(self) -> float:
        """Pixels that are not void over all pixels received; 0 without any."""
        return 1 - mean(picture.void for picture in self.scores.pictures) if self.views else 0.0

    def write_report(self, path: Path) -> None:
        path.write_text(json.dumps(self.report(), indent=2) + "\n")

    def report(self) -> dict[str, object]:
        """The content of report.json; its keys are a contract with other tools."""
        record = self.scores.record()
        record["psnr_color"] = record["psnr"]
        return {
            "frames_played": self.frames_played,
            "keyframes": self.keyframes,
            "label_images": len(self.views),
            "labelled_fraction": self.labeled_fraction,
            "clouds": self.clouds,
            "map_points": len(self.map),
            **{name: record[name] if math.isfinite(record.get(name, math.nan)) else None for name in REPORTED},
            "seconds_per_render_median": statistics.median(self.seconds_per_render) if self.seconds_per_render else 0.0,
            "model": {"id": self.model_id, "sha256": self.model_sha256},
            "ros": {"rmw": self.rmw, "standins": list(self.standins)},
        }
