"""The demo's page: index.html with a folder of pictures beside it, nothing fetched from elsewhere."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import numpy as np

from sray.metrics import ConfusionMatrix
from sray.view_selection import evenly_spread
from sray.viewing.pictures import depth_range, paint
from sray_train.score.surfaces import true_cloud
from sray_train.tools.report import pictures
from sray_train.tools.report.demo_run import DemoRun
from sray_train.tools.report.map_views import INK, Lines, Look, arrows, map_view
from sray_train.tools.report.page import (
    ClassBar,
    Shown,
    ShownView,
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


def write_page(run: DemoRun, folder: Path) -> Path:
    """Write `index.html` and `pictures/` into a folder; returns the page."""
    space, seen = run.label_space, [truth.labels for truth, _ in run.views] + [view.labels for _, view in run.views]
    shown = evenly_spread(min(SHOWN_VIEWS, len(run.views)), len(run.views))  # none picked for its looks
    present = {label for labels in seen if labels is not None for label in np.unique(labels).tolist()}
    page = render_template(
        "demo_page.html.jinja",
        run=run,
        tiles=_tiles(run),
        views=[_show(run, position, folder) for position in shown],
        classes=_classes(run),
        legend=legend(space, present),
        confusion=confusion_rows(space, run.scores.confusion) if run.scored else [],
        maps=_maps(run, folder),
        marks=_marks(run),
        renders=_renders(run.seconds_per_render),
        error_colors=error_key(),
    )
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _show(run: DemoRun, position: int, folder: Path) -> ShownView:
    """A view, and how it was scored."""
    truth, view = run.views[position]
    scores, space = run.scores.pictures[position], run.label_space
    every = [(view.depth if truth.depth is None else truth.depth).flatten().numpy() for truth, view in run.views]
    made = pictures.compared(space, truth, view, depth_range(np.concatenate(every)))
    made.insert(1, ("rendered labels over it", space.overlay(truth.image.numpy(), view.labels.numpy()), False))
    made.append(("confidence, 0 to 1", paint(view, "confidence", space)[0], False))
    title = f"View at {truth.stamp_ns / 1e9:.2f} s"
    shown = tuple(
        saved(folder, f"{truth.stamp_ns}_{number}", picture, caption, f"{caption}, {title.lower()}", crisp=crisp)
        for number, (caption, picture, crisp) in enumerate(made)
    )
    right = f"{percent(scores.pixels_right, 0)} of pixels right · " if scores.confusion.counts.any() else ""
    return ShownView(title, f"{right}{percent(1 - scores.void, 0)} labeled", shown)


def saved(folder: Path, name: str, picture: pictures.Picture, caption: str, alt: str, *, crisp: bool = False) -> Shown:
    """Write a picture of the page into its folder. Raises FileError."""
    file = f"{PICTURES}/{name}.png"
    pictures.write_picture(folder / file, np.ascontiguousarray(picture))
    return Shown(file, caption, alt, crisp)


def _tiles(run: DemoRun) -> list[tuple[str, str, str]]:
    """Value, name, and what to hold it against."""
    record, (surfaces,) = run.scores.record(), run.scores.surfaces
    tiles: list[tuple[str, str, str]] = []
    if run.scored:
        floor = percent(record["commonest_class_miou"])
        tiles.append((percent(record["strict_miou"]), "strict mIoU", f"commonest class everywhere: {floor}"))
        tiles.append((percent(record["total_accuracy"]), "pixels right", "void counts as wrong"))
    tiles.append((percent(run.labeled_fraction), "pixels labeled", f"{len(run.views)} label images"))
    if not math.isnan(record["psnr"]):
        against = f"against real frames that were no sources; {record['psnr_matched']:.1f} dB at their exposure"
        tiles.append((f"{record['psnr']:.1f} dB", "color PSNR", against))
    if not math.isnan(record.get("depth_within_1_25", math.nan)):
        within = f"{percent(record['depth_within_1_25'], 0)} within 1.25 of the truth, void pixels not"
        tiles.append((percent(record["depth_abs_rel"]), "depth error, relative", within))
    if not math.isnan(surfaces.f_score):
        off = f"off by {100 * surfaces.accuracy:.0f} cm, {percent(surfaces.recall, 0)} of the surfaces found"
        tiles.append((percent(surfaces.f_score), "map F-score at 5 cm", off))
    if run.seconds_per_render:
        tiles.append((f"{statistics.median(run.seconds_per_render):.1f} s", "per render", "median"))
    tiles.append((f"{len(run.map):,}", "map points", f"from {run.clouds} clouds"))
    return tiles


def _classes(run: DemoRun) -> list[ClassBar]:
    """Without ground truth their shares are those of the labels."""
    matrix = run.scores.confusion
    if not run.scored:
        matrix = ConfusionMatrix(run.label_space.classes)
        for _, view in run.views:
            matrix.update(view.labels, view.labels)
    return class_bars(run.label_space, matrix)


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
