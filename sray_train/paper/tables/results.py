"""All tables of a set of records: what the terminal prints, and the blocks and pictures of the page of results.

Blocks between markers come from the records, all else on the page is written by people and left alone. A block begins
with `<!-- table 3 -->` and ends with `<!-- end of table 3 -->`. A page that lacks one is refused: where a table belongs
among the prose is for its author to say, and a mistyped marker must not make a second copy at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sray.errors import FileError
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


PROSE = """# Results: the paper's tables, and ours

```bash
.venv/bin/sray study --config config/studies/rooms.yaml     # trains and scores; writes benchmarks/results/rooms.json
.venv/bin/sray tables      # rewrites the blocks of this page from benchmarks/results/*.json
```

Accuracies are in percent. mIoU is *strict* in our columns: one confusion matrix, void predictions are errors. The
paper's is by its published code, nearest to our *released-code* mIoU. `52.3 ± 0.8 (3)`: mean over 3 seeds and
their standard deviation; without it, one seed. – : does not apply, or was not recorded. Models fine-tuned on scenes
have a record a scene, of which the mean is shown.
"""
"""What a new page begins with."""


def begin(name: str) -> str:
    return f"<!-- {name} -->"


def end(name: str) -> str:
    return f"<!-- end of {name} -->"


def rewritten(page: str, blocks: dict[str, str], where: str) -> str:
    """The page with the blocks' new texts. Raises FileError for a marker that is missing or there twice."""
    for name, text in blocks.items():
        begins, ends = _span(page, name, where)
        page = page[:begins] + _whole(name, text) + page[ends:]
    return page


def outdated(page: str, blocks: dict[str, str], where: str) -> list[str]:
    """Names of the blocks whose text is not what the records give. Raises SrayError as `rewritten`."""
    return [name for name, text in blocks.items() if page[slice(*_span(page, name, where))] != _whole(name, text)]


def new_page(blocks: dict[str, str], titles: dict[str, str]) -> str:
    """A page of headings and blocks alone."""
    parts = [f"## {titles[name]}\n\n{_whole(name, text)}\n" for name, text in blocks.items()]
    return "\n".join([PROSE, *parts])


def _whole(name: str, text: str) -> str:
    return f"{begin(name)}\n\n{text}\n\n{end(name)}"


def _span(page: str, name: str, where: str) -> tuple[int, int]:
    """Where a block begins and ends, markers and all."""
    for marker in (begin(name), end(name)):
        if (count := page.count(marker)) != 1:
            raise FileError(
                f"{where} has {marker} {count} times",
                f"once, and {begin(name)} above {end(name)}",
                "Put both where the block belongs, or move the page away to have a new one made",
            )
    begins, ends = page.index(begin(name)), page.index(end(name))
    if begins > ends:
        raise FileError(f"{where} has {end(name)} above {begin(name)}", "it below")
    return begins, ends + len(end(name))
