"""Texts laid out as a table: Markdown for the page, and the same with even columns for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from sray_train.paper.tables.grid import Grid


def markdown(grid: Grid, picture: str = "") -> str:
    """Caption, table, what it was measured on; and the picture, if there is one."""
    parts = [grid.table.caption, as_table(grid.head, grid.rows), "\n".join(f"- {note}" for note in grid.notes)]
    if picture:
        parts.append(f"![{grid.table.title}]({picture})")
    return "\n\n".join(part for part in parts if part)


def terminal(grid: Grid) -> str:
    """The same to be read as it is."""
    lines = [grid.table.heading, "", as_table(grid.head, grid.rows, even=True), ""]
    return "\n".join([*lines, *(f"  {note}" for note in grid.notes), ""])


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, even: bool = False) -> str:
    """A Markdown table. `even`: cells padded to the width of their column."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (head, *rows)]
    if even:
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        lines = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
        rule = ["-" * width for width in widths]
    else:
        rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))
