"""The page of the paper's figures: one HTML file with everything inside, and its pictures as PNGs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sray.files import write_atomically
from sray_train.paper.figures.contenders import Gap
from sray_train.tools.report import pictures
from sray_train.tools.report.page import Shown, error_key, render_template
from sray_train.tools.report.pictures import Picture

PAGE = "index.html"
PICTURES = "pictures"


@dataclass(frozen=True)
class Cell:
    """Pictures over each other, with what they are and how they scored."""

    title: str
    pictures: tuple[Shown, ...]
    scores: str = ""


@dataclass(frozen=True)
class Row:
    """One held-out picture, or one ray of it."""

    title: str
    remark: str
    cells: tuple[Cell | Gap, ...]
    columns: int = 1
    """Cells side by side."""


@dataclass(frozen=True)
class Table:
    """Numbers that belong to a figure."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    says: str


@dataclass(frozen=True)
class Section:
    """One of the paper's figures."""

    id: str
    title: str
    look_for: str
    rows: tuple[Row, ...]
    gaps: tuple[Gap, ...] = ()
    """What is missing as a whole."""
    tables: tuple[Table, ...] = ()
    labels: bool = False
    """Its pictures have class colors and errors: they need the legend."""


class PictureFolder:
    """Writes PNGs, and gives them back for the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / PICTURES

    def add(self, name: str, picture: Picture, alt: str, *, crisp: bool = False) -> Shown:
        """Raises FileError if it cannot be written."""
        pictures.write_picture(self._folder / f"{name}.png", picture)
        return Shown(pictures.data_uri(picture), "", alt, crisp)


def write_figures_page(
    folder: Path, sections: Sequence[Section], legend: list[tuple[str, str]], facts: dict[str, str], scenes: list[str]
) -> Path:
    """Write the page, whole or not at all. `legend`: name and color of the classes that are shown.

    Raises FileError.
    """
    missing = list(dict.fromkeys(gap for section in sections for gap in _gaps(section)))
    page = render_template(
        "figures_page.html.jinja",
        sections=sections,
        legend=legend,
        error_colors=error_key(),
        facts=facts,
        scenes=scenes,
        missing=missing,
        commands=list(dict.fromkeys(gap.command for gap in missing)),
    )
    path = folder / PAGE
    write_atomically(path, page.encode())
    return path


def _gaps(section: Section) -> list[Gap]:
    return [*section.gaps, *(cell for row in section.rows for cell in row.cells if isinstance(cell, Gap))]
