"""`sray tables`: the paper's tables with our figures beside them, from recorded results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sray.errors import FileError
from sray.files import write_atomically
from sray_train.paper.study.record import read_records


@dataclass
class Tables:
    """Build the paper's tables from recorded results, ours beside the paper's, and keep the page of results current."""

    results: Path = Path("benchmarks/results")
    """A file of records, or a folder of them. Records of `sray levels` and `sray compare` are in `levels` beside it."""
    page: Path = Path("docs/results.md")
    """The page whose blocks are rewritten; made if it is not there. Pictures go to images/results beside it."""
    check: bool = False
    """Write nothing; exit with 1 if the page is not what the records give."""

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
        folder, levels = self.page.parent / "images" / "results", self.results.parent / "levels"
        blocks = results.blocks("images/results") | page_blocks(levels, "images/results")
        stale = [name for name, (_, shown) in results.pictures.items() if not is_current(folder / name, shown)]
        page = self._read_page()
        if self.check:
            old = outdated(page, blocks, str(self.page)) if page else ["the whole page"]
            if old or stale:
                raise FileError(
                    f"{self.page} is not what {self.results} gives: {', '.join([*old, *stale])}",
                    remedy="Run `sray tables`",
                )
            print(f"{self.page} is what {self.results} gives")
            return
        print(results.terminal())
        text = rewritten(page, blocks, str(self.page)) if page else new_page(blocks, results.titles | TITLES)
        for name in stale:
            write_atomically(folder / name, draw(*results.pictures[name]))
        if "levels" in blocks and (text != page or not (folder / PICTURE).exists()):
            write_atomically(folder / PICTURE, waterfall(levels_of(levels)))
        if text != page:
            write_atomically(self.page, text.encode())
        print(f"\nsee {self.page}")

    def _read_page(self) -> str:
        """Empty if there is none."""
        try:
            return self.page.read_text(encoding="utf-8") if self.page.exists() else ""
        except (OSError, ValueError) as error:
            raise FileError(f"{self.page}: {error}", "a page of text") from error
