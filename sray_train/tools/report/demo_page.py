"""The demo's page: index.html with a folder of pictures beside it, nothing fetched from elsewhere."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sray.label_space import LabelSpace
from sray.metrics import ConfusionMatrix
from sray.viewing.pictures import depth_range, painted
from sray_train.score.surfaces import true_cloud
from sray_train.tools.report import pictures
from sray_train.tools.report.demo_run import DemoRun, RecordedView
from sray_train.tools.report.map_views import INK, Lines, Look, arrows, map_view
from sray_train.tools.report.page import (
    ClassBar,
    Shown,
    class_bars,
    confusion_rows,
    css,
    error_key,
    legend,
    percent,
    render_template,
)

PICTURES = "pictures"
SHOWN_VIEWS = 6
KEYFRAME, SOURCE, TARGET = (31, 95, 168), (51, 153, 255), (255, 128, 0)
"""Colors of RViz's arrows and of the mapper's frustums."""
FROM_A_CORNER = Look(elevation=38, azimuth=32)
NO_LINES = np.zeros((0, 2, 3), np.float32)


@dataclass(frozen=True)
class ShownView:
    """One viewpoint: its pictures, and how well it went."""

    title: str
    verdict: str
    pictures: tuple[Shown, ...]


def write_page(run: DemoRun, folder: Path) -> Path:
    """Write `index.html` and `pictures/` into a folder; returns the page."""
    matrix = run.confusion
    space = run.label_space
    views = [_show(run, view, folder) for view in spread(run.views, SHOWN_VIEWS)]
    page = render_template(
        "demo_page.html.jinja",
        run=run,
        tiles=_tiles(run),
        views=views,
        classes=_classes(run, matrix),
        legend=_legend(run),
        scored=matrix is not None,
        confusion=confusion_rows(space, matrix) if matrix else [],
        maps=_maps(run, folder),
        marks=_marks(run),
        renders=_renders(run.seconds_per_render),
        error_colors=error_key(),
    )
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def spread(views: tuple[RecordedView, ...], count: int) -> list[RecordedView]:
    """At most `count` views, evenly over the run, none picked for its looks."""
    if len(views) <= count:
        return list(views)
    return [views[round((index + 0.5) * len(views) / count - 0.5)] for index in range(count)]


def _show(run: DemoRun, view: RecordedView, folder: Path) -> ShownView:
    space = run.label_space
    every = [v.depth if v.true_depth is None else v.true_depth for v in run.views]
    near, far = ends = depth_range(
        np.concatenate([np.zeros(0)] + [depth.ravel() for depth in every if depth is not None])
    )
    made: list[tuple[str, str, pictures.Picture, bool]] = [("input", "camera", view.image, False)]
    made.append(("overlay", "rendered labels over it", space.overlay(view.image, view.labels), False))
    made.append(("labels", "rendered labels", space.colorize(view.labels), True))
    if view.truth is not None:
        made.append(("truth", "ground truth", space.colorize(view.truth), True))
        made.append(("error", "error", pictures.error(view.labels, view.truth), True))
    if view.color is not None:
        made.append(("color", "rendered color", view.color, False))
    for kind, caption, depth in (
        ("depth", "rendered depth", view.depth),
        ("true_depth", "true depth", view.true_depth),
    ):
        if depth is not None:
            shown = painted(depth, "depth", ends)
            made.append((kind, f"{caption}, {near:.1f} m (bright) to {far:.1f} m", shown, False))
    if view.confidence is not None:
        shown = painted(view.confidence, "confidence", (0.0, 1.0), view.labels != pictures.VOID)
        made.append(("confidence", "confidence, 0 to 1", shown, False))
    seconds = view.stamp_ns / 1e9
    title = f"View at {seconds:.2f} s"
    shown_pictures = tuple(
        saved(folder, f"{view.stamp_ns}_{kind}", picture, caption, f"{caption}, view at {seconds:.2f} s", crisp=crisp)
        for kind, caption, picture, crisp in made
    )
    return ShownView(title, _verdict(view, space), shown_pictures)


def saved(folder: Path, name: str, picture: pictures.Picture, caption: str, alt: str, *, crisp: bool = False) -> Shown:
    """Write a picture of the page into its folder. Raises FileError."""
    file = f"{PICTURES}/{name}.png"
    pictures.write_picture(folder / file, np.ascontiguousarray(picture))
    return Shown(file, caption, alt, crisp)


def _verdict(view: RecordedView, space: LabelSpace) -> str:
    labeled = f"{100 * float((view.labels != pictures.VOID).mean()):.0f} % labeled"
    if view.truth is None:
        return labeled
    matrix = ConfusionMatrix(space.classes)
    matrix.update(view.labels, view.truth)
    return f"{100 * matrix.strict().total_accuracy:.0f} % of pixels right · {labeled}"


def _tiles(run: DemoRun) -> list[tuple[str, str, str]]:
    """Value, name, and what to hold it against."""
    report = run.report()
    tiles: list[tuple[str, str, str]] = []
    matrix = run.confusion
    if matrix:
        scores, floor = matrix.strict(), matrix.commonest_class().miou
        tiles.append((percent(scores.miou), "strict mIoU", f"commonest class everywhere: {percent(floor)}"))
        tiles.append((percent(scores.total_accuracy), "pixels right", "void counts as wrong"))
    tiles.append((percent(run.labeled_fraction), "pixels labeled", f"{len(run.views)} label images"))
    if not math.isnan(run.psnr_color):
        against = f"against real frames that were no sources; {run.psnr_matched:.1f} dB at their exposure"
        tiles.append((f"{run.psnr_color:.1f} dB", "color PSNR", against))
    if not math.isnan(run.depth["within_1_25"]):
        within = f"{percent(run.depth['within_1_25'], 0)} within 1.25 of the truth, void pixels not"
        tiles.append((percent(run.depth["abs_rel"]), "depth error, relative", within))
    if not math.isnan(run.map_scores.f_score):
        off = (
            f"off by {100 * run.map_scores.accuracy:.0f} cm, {percent(run.map_scores.recall, 0)} of the surfaces found"
        )
        tiles.append((percent(run.map_scores.f_score), "map F-score at 5 cm", off))
    if run.seconds_per_render:
        tiles.append((f"{statistics.median(run.seconds_per_render):.1f} s", "per render", "median"))
    tiles.append((f"{report['map_points']:,}", "map points", f"from {run.clouds} clouds"))
    return tiles


def _classes(run: DemoRun, matrix: ConfusionMatrix | None) -> list[ClassBar]:
    space = run.label_space
    if matrix:
        return class_bars(space, matrix)
    counts: NDArray[np.int64] = sum(
        (np.bincount(view.labels.reshape(-1), minlength=256)[: space.classes] for view in run.views),
        np.zeros(space.classes, np.int64),
    )
    shares = counts / max(1, counts.sum())
    bars = [
        ClassBar(name, css(color), float(share), None)
        for name, color, share in zip(space.names, space.colors, shares, strict=True)
    ]
    return sorted(bars, key=lambda bar: -bar.share)


def _legend(run: DemoRun) -> list[tuple[str, str]]:
    """Name and color of every class that some picture shows, in the label space's order."""
    pictured = [view.labels for view in run.views] + [view.truth for view in run.views if view.truth is not None]
    present = set(np.unique(np.concatenate([labels.reshape(-1) for labels in pictured]))) if pictured else set()
    return legend(run.label_space, present)


def _maps(run: DemoRun, folder: Path) -> list[Shown]:
    """From a corner and from above, painted by class, with keyframes and frustums as RViz draws them; by color."""
    if not len(run.map):
        return []
    classes = run.label_space.colorize(run.map.labels)
    lines = tuple(
        Lines(segments, color, width)
        for segments, color, width in (
            (arrows(run.keyframe_poses), KEYFRAME, 2),
            (run.frustums.get("sources", NO_LINES), SOURCE, 2),
            (run.frustums.get("target", NO_LINES), TARGET, 3),
        )
        if len(segments)
    )
    shown, truth = [], true_cloud(run.surfaces)
    corner = "by class, from a corner; the nearer walls are cut away"
    made = [
        ("corner", corner, run.map, classes, FROM_A_CORNER, lines),
        ("classes", "by class, from above", run.map, classes, Look(), lines),
        ("colors", "in rendered colors, from above", run.map, run.map.rgb, Look(), ()),
    ]
    if len(truth):
        made.append(("truth", "as it should be: the true surfaces from above", truth, truth.rgb, Look(), ()))
    extent = truth.points if len(truth) else None
    for kind, caption, cloud, colors, look, drawn in made:
        picture, scale = map_view(cloud, colors, run.path, run.up, look, drawn, extent=extent)
        if look.elevation == 90:
            caption += f", {picture.shape[1] * scale:.1f} x {picture.shape[0] * scale:.1f} m"
        shown.append(saved(folder, f"map_{kind}", picture, caption, f"the map {caption}"))
    return shown


def _marks(run: DemoRun) -> list[tuple[str, str]]:
    """What the lines in the map mean."""
    marks = [("camera path, its start a ring", css(INK))]
    marks += [("keyframes", css(KEYFRAME))] * bool(len(run.keyframe_poses))
    marks += [("sources of the last view", css(SOURCE))] * bool(len(run.frustums.get("sources", NO_LINES)))
    marks += [("the last view", css(TARGET))] * bool(len(run.frustums.get("target", NO_LINES)))
    return marks


def _renders(seconds: tuple[float, ...]) -> list[tuple[float, float]]:
    """Height 0..1 of each render's bar, and its seconds."""
    longest = max(seconds, default=1.0) or 1.0
    return [(value / longest, value) for value in seconds]
