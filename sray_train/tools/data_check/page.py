"""A check's report: one HTML page that needs nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sray.errors import FileError
from sray.files import write_atomically
from sray.view_selection import evenly_spread
from sray_train.tools.data_check import figures
from sray_train.tools.data_check.camera_checks import Geometry
from sray_train.tools.data_check.check import CheckResult
from sray_train.tools.data_check.readings import AS_STORED
from sray_train.tools.data_check.terminal import figures_line, verdict
from sray_train.tools.report.page import Shown, css, percent, render_template
from sray_train.tools.report.pictures import Picture, data_uri

MARK = '<meta name="generator" content="sray data check">'
"""How a page of ours is known again: only those are written over."""
LABELED_FRAMES = 4
IDS = 16


@dataclass(frozen=True)
class Bar:
    """A share on a chart."""

    name: str
    share: float
    """Of the full length, 0..1."""
    value: str
    color: str


def write_page(result: CheckResult, path: Path) -> None:
    """Write the page. Raises FileError if another file than a former report is in its place."""
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace")[:600]:
        raise FileError(f"{path} exists and is no report of sray data check", "a free name for --report")
    html = render_template(
        "data_check_page.html.jinja",
        result=result,
        verdict=verdict(result),
        line=figures_line(result),
        readings=_readings(result),
        reprojections=_reprojections(result),
        classes=_classes(result),
        ids=_ids(result),
        labeled=_labeled(result),
        plots=_plots(result),
    )
    write_atomically(path, html.encode())


def _readings(result: CheckResult) -> list[Bar]:
    """Errors of all readings against the worst, the best first."""
    worst = max(result.readings.values(), default=1.0) or 1.0
    ordered = sorted(result.readings.items(), key=lambda item: item[1])
    return [Bar(name, error / worst, f"{error:.2f} px", "#1f5fa8") for name, error in ordered]


def _reprojections(result: CheckResult) -> list[Shown]:
    geometry = result.geometry
    pair = figures.shown_pair(geometry) if geometry else None
    if geometry is None or pair is None:
        return []
    first, second = geometry.sample.number(pair.first), geometry.sample.number(pair.second)
    stored = Geometry(geometry.sample, geometry.pairs)
    shown = [_photo(figures.misses(stored, pair), f"matches {first} to {second}, as stored")]
    mended = " and ".join(each.code for each in (geometry.poses, geometry.intrinsics) if each.code != AS_STORED.code)
    if mended:
        shown.append(_photo(figures.misses(geometry, pair), f"the same with {mended} mended"))
    wrong_unit = any(finding.code in ("depth-unit", "poses-unit") for finding in result.findings)
    factor = result.figures.get("depth_factor", 1.0) if wrong_unit else 1.0
    if (carried := figures.reprojected(stored, pair)) is not None:
        shown.append(_photo(carried, f"{first} carried into {second} by depth, every other square"))
        if (mended or wrong_unit) and (carried := figures.reprojected(geometry, pair, factor)) is not None:
            shown.append(_photo(carried, "the same with all that mended"))
    return shown


def _photo(picture: Picture, caption: str) -> Shown:
    return Shown(data_uri(picture, jpeg=85), caption, caption, crisp=True)


def _classes(result: CheckResult) -> list[Bar]:
    if result.labels is None:
        return []
    space = result.label_space
    shares = result.labels.classes
    bars = [
        Bar(name, shares[name], percent(shares[name]), css(color))
        for name, color in zip(space.names, space.colors, strict=True)
    ]
    void = Bar("void", result.labels.void, percent(result.labels.void), "#000")
    return [*sorted(bars, key=lambda bar: -bar.share), void]


def _ids(result: CheckResult) -> list[Bar]:
    ids = result.labels.ids if result.labels else {}
    commonest = sorted(ids, key=lambda each: -ids[each])[:IDS]
    return [Bar(str(each), ids[each], percent(ids[each]), "#5d6673") for each in commonest]


def _labeled(result: CheckResult) -> list[Shown]:
    if result.geometry is None or result.labels is None:
        return []
    sample = result.geometry.sample
    found = [(position, frame) for position, frame in sample.frames.items() if frame.labels is not None]
    count = min(LABELED_FRAMES, len(found))
    chosen = [found[position] for position in evenly_spread(count, len(found))]
    return [
        _photo(figures.labeled(frame, result.label_space), f"frame {sample.number(position)}")
        for position, frame in chosen
    ]


def _plots(result: CheckResult) -> list[Shown]:
    geometry = result.geometry
    if geometry is None:
        return []
    plots = [
        (
            figures.path_from_above(geometry.sample, geometry),
            "the camera's path from above, with viewing directions; jumps in red",
        ),
        (figures.depth_histogram(geometry.sample), "depth of the sampled frames"),
    ]
    return [Shown(data_uri(plot), caption, caption, crisp=True) for plot, caption in plots if plot is not None]
