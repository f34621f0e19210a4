"""All tables of a set of records: what the terminal prints, and the blocks and pictures of the pages of results.

Blocks between markers come from the records, all else on the pages is written by people and left alone. A block begins
with `<!-- table 3 -->` and ends with `<!-- end of table 3 -->`, on one of the pages. One that is on none is refused:
where a table belongs among the prose is for its author to say, and a mistyped marker must not make a second copy.
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

ORDERS = {"equal orders": "Who is ahead on equal terms?", "orders": "Do the paper's orders hold?"}
"""Block of orders -> its heading on a new page."""
Pages = dict[str, str]
"""Name of a page -> its text."""
_REMEDY = "Put {} and {} where the block belongs, or move the pages away to have a new one made"


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
        blocks = {name: self.orders(name) for name in ORDERS}
        for grid in self.grids:
            picture = grid.table.picture.file if grid.table.picture else ""
            blocks[grid.table.block] = markdown(grid, f"{folder}/{picture}" if picture in self.pictures else "")
        return blocks

    @property
    def titles(self) -> dict[str, str]:
        """Name of a block -> its heading on a new page."""
        return ORDERS | {grid.table.block: grid.table.heading for grid in self.grids}

    def orders(self, block: str, *, even: bool = False) -> str:
        """Of rooms, and of every other dataset with records of a study."""
        parts = [RULE]
        for name, dataset in load_datasets().items():
            if name == "rooms" or any(record.data.startswith(name) for record in self.records):
                parts.append(f"On {dataset.name}:\n\n{summary(load_orders()[block], self.records, name, even=even)}")
        return "\n\n".join(parts)

    def terminal(self) -> str:
        parts = [*(terminal(grid) for grid in self.grids), *(self.orders(name, even=True) for name in ORDERS)]
        shown = (record for grid in self.grids for each in grid.measured for record in each.cell.records)
        others = unused(self.records, shown)
        if others:
            counts = ", ".join(f"{variant} ({count})" for variant, count in sorted(others.items()))
            parts.append(f"\nVariants with records that no table shows: {counts}")
        return "\n".join(parts)


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


def rewritten(pages: Pages, blocks: dict[str, str]) -> Pages:
    """The pages with the blocks' new texts. Raises FileError for a marker that is missing or there twice."""
    pages = dict(pages)
    for name, text in blocks.items():
        where = _home(pages, name)
        begins, ends = _span(pages[where], name, where)
        pages[where] = pages[where][:begins] + _whole(name, text) + pages[where][ends:]
    return pages


def outdated(pages: Pages, blocks: dict[str, str]) -> list[str]:
    """Names of the blocks whose text is not what the records give. Raises SrayError as `rewritten`."""
    now = rewritten(pages, blocks)
    return [name for name, text in blocks.items() if _whole(name, text) not in pages[_home(now, name)]]


def new_page(blocks: dict[str, str], titles: dict[str, str]) -> str:
    """A page of headings and blocks alone."""
    parts = [f"## {titles[name]}\n\n{_whole(name, text)}\n" for name, text in blocks.items()]
    return "\n".join([PROSE, *parts])


def _whole(name: str, text: str) -> str:
    return f"{begin(name)}\n\n{text}\n\n{end(name)}"


def _home(pages: Pages, name: str) -> str:
    """The page with a block."""
    found = [where for where, page in pages.items() if begin(name) in page]
    if len(found) != 1:
        raise FileError(
            f"{begin(name)} is {len(found)} times on {', '.join(pages)}",
            "it once",
            _REMEDY.format(begin(name), end(name)),
        )
    return found[0]


def _span(page: str, name: str, where: str) -> tuple[int, int]:
    """Where a block begins and ends, markers and all."""
    for marker in (begin(name), end(name)):
        if (count := page.count(marker)) != 1:
            raise FileError(
                f"{where} has {marker} {count} times",
                f"once, and {begin(name)} above {end(name)}",
                _REMEDY.format(begin(name), end(name)),
            )
    begins, ends = page.index(begin(name)), page.index(end(name))
    if begins > ends:
        raise FileError(f"{where} has {end(name)} above {begin(name)}", "it below")
    return begins, ends + len(end(name))
