"""All tables of a set of records: the blocks of the page, its pictures, and what the terminal prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sray_train.paper.study.record import Record
from sray_train.paper.tables.choosing import unused
from sray_train.paper.tables.declaration import load_datasets, load_orders, load_tables
from sray_train.paper.tables.grid import Grid, lay_out
from sray_train.paper.tables.markdown import markdown, terminal
from sray_train.paper.tables.orders import RULE, summary
from sray_train.paper.tables.pictures import Point, points

ORDERS = "orders"


@dataclass(frozen=True)
class Results:
    """What the records give."""

    records: Sequence[Record]

    @cached_property
    def grids(self) -> list[Grid]:
        datasets = load_datasets()
        return [lay_out(table, datasets, self.records) for table in load_tables()]

    @cached_property
    def pictures(self) -> dict[str, tuple[Grid, list[Point]]]:
        """File name -> what it shows; none for a table without figures."""
        found = [(grid, points(grid)) for grid in self.grids]
        return {grid.table.picture.file: (grid, shown) for grid, shown in found if grid.table.picture and shown}

    def blocks(self, folder: str) -> dict[str, str]:
        """Name -> Markdown. `folder`: of the pictures, as the page names it."""
        blocks = {ORDERS: self.orders()}
        for grid in self.grids:
            picture = grid.table.picture.file if grid.table.picture else ""
            blocks[_name(grid)] = markdown(grid, f"{folder}/{picture}" if picture in self.pictures else "")
        return blocks

    @property
    def titles(self) -> dict[str, str]:
        """Name of a block -> its heading on a new page."""
        titles = {_name(grid): f"Table {grid.table.number}: {grid.table.title}" for grid in self.grids}
        return {ORDERS: "Do the paper's orders hold?"} | titles

    def orders(self, *, even: bool = False) -> str:
        """Of rooms, and of every other dataset with records of a study."""
        parts = [RULE]
        for name, dataset in load_datasets().items():
            if name == "rooms" or any(record.data.startswith(name) for record in self.records):
                parts.append(f"On {dataset.name}:\n\n{summary(load_orders(), self.records, name, even=even)}")
        return "\n\n".join(parts)

    def terminal(self) -> str:
        parts = [*(terminal(grid) for grid in self.grids), self.orders(even=True)]
        shown = (record for grid in self.grids for each in grid.measured for record in each.cell.records)
        others = unused(self.records, shown)
        if others:
            counts = ", ".join(f"{variant} ({count})" for variant, count in sorted(others.items()))
            parts.append(f"\nVariants with records that no table shows: {counts}")
        return "\n".join(parts)


def _name(grid: Grid) -> str:
    return f"table {grid.table.number}"
