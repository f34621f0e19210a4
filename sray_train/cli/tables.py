"""`sray tables`: the paper's tables with our figures beside them, from recorded results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sray.errors import FileError
from sray.files import write_atomically
from sray_train.paper.study.record import read_records


@dataclass
class Tables:
    """Build the tables of the pages of results from recorded results, ours beside the paper's."""

    results: Path = Path("benchmarks/results")
    """A file of records, or a folder of them. Records of `sray levels` and `sray compare` are in `levels` beside it."""
    pages: tuple[Path, ...] = (Path("docs/results.md"), Path("docs/paper_tables.md"))
    """Pages whose blocks are rewritten; where none is there the first is made, with all. Pictures go to images/results
    beside the first."""
    check: bool = False
    """Write nothing; exit with 1 if a page is not what the records give."""

    def main(self) -> None:
        from sray_train.paper.levels.picture import waterfall
        from sray_train.paper.levels.tables import PICTURE, TITLES, levels_of, page_blocks
        from sray_train.paper.tables.pictures import draw, is_current
        from sray_train.paper.tables.results import (  # matplotlib takes a second to load
            Results,
            new_page,
            outdated,
            rewritten,
        )

        if not self.results.exists():
            raise FileError(f"{self.results} is not there", "a file or folder of records")
        results = Results(read_records(self.results))
        folder, levels = self.pages[0].parent / "images" / "results", self.results.parent / "levels"
        blocks = results.blocks("images/results") | page_blocks(levels, "images/results")
        stale = [name for name, (_, shown) in results.pictures.items() if not is_current(folder / name, shown)]
        pages = self._read_pages()
        if self.check:
            old = outdated(pages, blocks) if pages else ["all of it"]
            if old or stale:
                raise FileError(
                    f"not what {self.results} gives, in {self._names}: {', '.join([*old, *stale])}",
                    remedy="Run `sray tables`",
                )
            print(f"what {self.results} gives: {self._names}")
            return
        print(results.terminal())
        first = str(self.pages[0])
        texts = rewritten(pages, blocks) if pages else {first: new_page(blocks, results.titles | TITLES)}
        for name in stale:
            write_atomically(folder / name, draw(*results.pictures[name]))
        if "levels" in blocks and (texts != pages or not (folder / PICTURE).exists()):
            write_atomically(folder / PICTURE, waterfall(levels_of(levels)))
        for name, text in texts.items():
            if text != pages.get(name):
                write_atomically(Path(name), text.encode())
        print(f"\nsee {self._names}")

    @property
    def _names(self) -> str:
        return ", ".join(map(str, self.pages))

    def _read_pages(self) -> dict[str, str]:
        """None of them, or all. Raises FileError if only some are there."""
        there = [path for path in self.pages if path.exists()]
        if there and len(there) < len(self.pages):
            missing = next(path for path in self.pages if path not in there)
            raise FileError(f"{missing} is not there, {there[0]} is", "all pages, or none")
        return {str(path): _text_of(path) for path in there}


def _text_of(page: Path) -> str:
    try:
        return page.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise FileError(f"{page}: {error}", "a page of text") from error
