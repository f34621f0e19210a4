"""What report pages are made of: the templates of this folder, the classes as bars, the confusion as rows of text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from sray.label_space import LabelSpace
from sray.metrics import ConfusionMatrix
from sray_train.tools.report import pictures

ConfusionRow = tuple[str, list[tuple[str, float]]]
"""A true class's name; per predicted class (void last) its text in percent and its share of the row, 0..1."""


@dataclass(frozen=True)
class Shown:
    """A picture on a page."""

    source: str
    """Its file, relative to the page, or a data: URI."""
    caption: str
    alt: str
    crisp: bool = False
    """Class colors: pixels stay pixels when enlarged."""


@dataclass(frozen=True)
class ShownView:
    """A rendering beside what it should have been, and how well it went."""

    title: str
    verdict: str
    pictures: tuple[Shown, ...]


@dataclass(frozen=True)
class ClassBar:
    """One class of the label space, on the chart and in the legend."""

    name: str
    color: str
    share: float
    """Of the ground truth's pixels, or of the labels' without ground truth; 0..1."""
    iou: float | None
    """None: not in the ground truth."""


def render_template(name: str, **content: object) -> str:
    """A page from a template of this folder. Text is escaped; a name the template misses is an error."""
    environment = Environment(
        loader=PackageLoader("sray_train.tools.report", "."),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**content)


def class_bars(space: LabelSpace, matrix: ConfusionMatrix) -> list[ClassBar]:
    """Every class with its share of the true pixels, the commonest first."""
    counts = matrix.counts.sum(1)
    shares = counts / max(1, counts.sum())
    bars = [
        ClassBar(name, css(color), float(share), None if math.isnan(iou) else iou)
        for name, color, share, iou in zip(
            space.names, space.colors, shares, matrix.strict().per_class_iou, strict=True
        )
    ]
    return sorted(bars, key=lambda bar: -bar.share)


def confusion_rows(space: LabelSpace, matrix: ConfusionMatrix) -> list[ConfusionRow]:
    """Rows of true classes that occur."""
    rows = []
    for name, counts in zip(space.names, matrix.counts, strict=True):
        if counts.sum():
            shares = counts / counts.sum()
            rows.append((name, [(f"{100 * share:.0f}" if share >= 0.005 else "", float(share)) for share in shares]))
    return rows


def legend(space: LabelSpace, present: set[int]) -> list[tuple[str, str]]:
    """Name and color of the classes that some picture shows, in the label space's order."""
    return [
        (name, css(color))
        for index, (name, color) in enumerate(zip(space.names, space.colors, strict=True))
        if index in present
    ]


def error_key() -> list[tuple[str, str]]:
    """What the colors of `pictures.error` mean."""
    return [
        ("right", css(pictures.RIGHT)),
        ("wrong", css(pictures.WRONG)),
        ("left void", css(pictures.UNANSWERED)),
        ("no ground truth", css(pictures.UNSCORED)),
    ]


def percent(value: float, digits: int = 1) -> str:
    """Of a fraction; a dash where there is none."""
    return "–" if math.isnan(value) else f"{100 * value:.{digits}f} %"


def css(color: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
