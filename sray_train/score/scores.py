"""Scores of an evaluation: of every picture, of every scene, and of all together."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sray.field import RenderedView
from sray.frames import Frame
from sray.label_space import VOID, LabelSpace
from sray.metrics import NO_DEPTH, ConfusionMatrix, DepthScores, depth_scores, exposure_matched, mean, psnr
from sray_train.score.image_quality import Lpips, ssim
from sray_train.score.surfaces import RenderedMap, SurfaceScores
from sray_train.score.view_scores import ViewScore, miou_interval


@dataclass(frozen=True)
class PictureScores:
    """One picture. Fractions in 0..1; NaN where there is nothing to compare with."""

    scene: str
    name: str
    """Of the frame it is compared with."""
    confusion: ConfusionMatrix
    """Of this picture alone; empty if nothing in it is labeled: it is not scored then, it does not score 0."""
    psnr: float
    """dB."""
    psnr_matched: float
    """dB, after `exposure_matched`: an exposure of its own, which no source tells, is no error then."""
    ssim: float
    lpips: float
    depth: DepthScores
    """Of every pixel whose true depth is known, also where the model calls it void."""
    depth_not_void: DepthScores
    """Of those that are not void: what a map, or a robot, gets."""
    void: float
    """Share of the picture that the model left void."""
    seconds: float

    @classmethod
    def of(
        cls, scene: str, truth: Frame, view: RenderedView, seconds: float, classes: int, lpips: Lpips | None = None
    ) -> PictureScores:
        """Of a rendering of the frame's own camera. Raises ValueError for a label that is no class."""
        confusion = ConfusionMatrix(classes)
        if truth.labels is not None:
            confusion.update(view.labels, truth.labels)
        colors = truth.image.float() / 255
        depth, depth_not_void = NO_DEPTH, NO_DEPTH
        if truth.depth is not None:
            depth = depth_scores(view.depth_with_void, truth.depth)
            depth_not_void = depth_scores(view.depth, truth.depth, view.depth.isfinite())
        return cls(
            scene=scene,
            name=truth.name,
            confusion=confusion,
            psnr=psnr(view.color, colors),
            psnr_matched=psnr(exposure_matched(view.color, colors), colors),
            ssim=ssim(view.color, colors),
            lpips=lpips(view.color, colors) if lpips else math.nan,
            depth=depth,
            depth_not_void=depth_not_void,
            void=float((view.labels == VOID).float().mean()),
            seconds=seconds,
        )

    def depth_record(self) -> dict[str, float]:
        """The depth scores by their names in records."""
        everywhere = {f"depth_{name}": value for name, value in asdict(self.depth).items()}
        return everywhere | {f"depth_{name}_not_void": value for name, value in asdict(self.depth_not_void).items()}

    @property
    def strict_miou(self) -> float:
        return self.confusion.strict().miou

    @property
    def released_miou(self) -> float:
        return self.confusion.released_code().miou

    @property
    def pixels_right(self) -> float:
        return self.confusion.strict().total_accuracy


@dataclass(frozen=True)
class Summary:
    """Several pictures: strict scores of one confusion matrix over all, means over the pictures of everything else."""

    name: str
    pictures: tuple[PictureScores, ...]
    surfaces: tuple[SurfaceScores, ...] = ()
    """Of the map that each scene's rendered pictures make together; without true depth, or single pictures: none."""

    @property
    def confusion(self) -> ConfusionMatrix:
        total = ConfusionMatrix(self.pictures[0].confusion.classes if self.pictures else 1)
        for picture in self.pictures:
            total.counts += picture.confusion.counts
        return total

    @property
    def released_miou(self) -> float:
        """Mean over the pictures of each picture's mean over its classes."""
        return mean(picture.released_miou for picture in self.pictures)

    def record(self) -> dict[str, Any]:
        """The scores by their names, NaN where unknown."""
        confusion = self.confusion
        strict = confusion.strict()
        return {
            "pictures": len(self.pictures),
            "strict_miou": strict.miou,
            "released_miou": self.released_miou,
            "commonest_class_miou": confusion.commonest_class().miou,
            "total_accuracy": strict.total_accuracy,
            "average_accuracy": strict.average_accuracy,
            **{name: mean(getattr(picture, name) for picture in self.pictures) for name in PICTURE_MEANS},
            **{
                name: mean(picture.depth_record()[name] for picture in self.pictures)
                for name in (self.pictures[0].depth_record() if self.pictures else ())
            },
            **{
                f"map_{name}": mean(getattr(scores, name) for scores in self.surfaces)
                for name in ("accuracy", "completeness")
            },
            "map_f_score_5cm": mean(scores.f_score for scores in self.surfaces),
        }


PICTURE_MEANS = ("psnr", "psnr_matched", "ssim", "lpips", "void")
LEAST_DRAWN = 5
"""Scenes, or pictures, from which an interval is drawn: fewer say nothing of others."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of all pictures of all scenes."""

    label_space: LabelSpace
    scenes: tuple[Summary, ...]

    @property
    def total(self) -> Summary:
        return Summary(
            "all",
            tuple(picture for scene in self.scenes for picture in scene.pictures),
            tuple(scores for scene in self.scenes for scores in scene.surfaces),
        )

    @property
    def labeled(self) -> bool:
        """Whether any pixel had a label to compare with."""
        return bool(self.total.confusion.counts.sum())

    @property
    def released_miou(self) -> float:
        """Mean over the pictures of a scene, then over scenes, as published tables have it."""
        return mean(scene.released_miou for scene in self.scenes)

    @property
    def interval_over(self) -> Literal["scenes", "pictures"]:
        """What the interval is drawn over: scenes, where there are enough of them."""
        return "scenes" if len(self.scenes) >= LEAST_DRAWN else "pictures"

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the strict mIoU: how much other scenes like these would change it.

        Of fewer than five scenes: how much other pictures of the same scenes would, which is less. NaN for fewer than
        five pictures.
        """
        drawn = self.scenes if self.interval_over == "scenes" else self.total.pictures
        if not self.labeled or len(drawn) < LEAST_DRAWN:
            return math.nan, math.nan
        return miou_interval([ViewScore(one.confusion.counts, math.nan) for one in drawn])

    def record(self) -> dict[str, Any]:
        """The content of a JSON record; NaN where nothing could be scored (`records.write_record` makes it null)."""
        total = self.total
        confusion = total.confusion
        names = self.label_space.names
        counts = confusion.counts.sum(1)
        return total.record() | {
            "strict_miou_interval": self.interval,
            "strict_miou_interval_over": self.interval_over,
            "released_miou": self.released_miou,
            "seconds_per_render": mean(picture.seconds for picture in total.pictures),
            "per_class": dict(zip(names, confusion.strict().per_class_iou, strict=True)),
            "per_class_share": dict(zip(names, (counts / max(1, counts.sum())).tolist(), strict=True)),
            "per_scene": [{"scene": scene.name} | scene.record() for scene in self.scenes],
            "confusion": {"true": list(names), "predicted": [*names, "void"], "pixels": confusion.counts.tolist()},
        }


class Scoreboard:
    """Takes rendered pictures one by one; says how they did at any time."""

    def __init__(self, label_space: LabelSpace, lpips: Lpips | None = None) -> None:
        self._label_space = label_space
        self._lpips = lpips
        self._pictures: dict[str, list[PictureScores]] = {}
        self._maps: dict[str, RenderedMap] = {}
        self._confusion = ConfusionMatrix(label_space.classes)

    @property
    def pictures(self) -> int:
        """Scored so far."""
        return sum(len(of_scene) for of_scene in self._pictures.values())

    @property
    def strict_miou(self) -> float:
        """Of all pictures so far; NaN if none has labels."""
        return self._confusion.strict().miou

    @property
    def psnr(self) -> float:
        """Mean over the pictures so far, dB."""
        return mean(picture.psnr for of_scene in self._pictures.values() for picture in of_scene)

    def add(self, scene: str, truth: Frame, view: RenderedView, seconds: float) -> PictureScores:
        """Score a rendering of the frame's own camera. Raises ValueError for a label outside the label space."""
        classes = self._label_space.classes
        scores = PictureScores.of(scene, truth, view, seconds, classes, self._lpips)
        if truth.depth is not None:
            self._maps.setdefault(scene, RenderedMap(classes)).add(view, truth)
        self.take(scores)
        return scores

    def take(self, scores: PictureScores) -> None:
        """Add a picture that is scored already."""
        self._pictures.setdefault(scores.scene, []).append(scores)
        self._confusion.counts += scores.confusion.counts

    def evaluation(self) -> Evaluation:
        scenes = tuple(
            Summary(name, tuple(pictures), (self._maps[name].scores(),) if name in self._maps else ())
            for name, pictures in self._pictures.items()
        )
        return Evaluation(self._label_space, scenes)
