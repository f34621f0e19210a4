"""The page of results: blocks between markers come from the records, all else is written by people and left alone.

A block begins with `<!-- table 3 -->` and ends with `<!-- end of table 3 -->`. A page that lacks one is refused: where
a table belongs among the prose is for its author to say, and a mistyped marker must not make a second copy at the end.
"""

from __future__ import annotations

from sray.errors import FileError

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
