"""In which order the tests run: whole files, slow ones first, and those with nodes evenly among the others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from conftest import spread


def item(path: str, *marks: str) -> Any:
    return SimpleNamespace(path=Path(path), iter_markers=lambda: [SimpleNamespace(name=mark) for mark in marks])


def test_files_stay_whole_slow_ones_are_first_and_nodes_are_spread() -> None:
    nodes = [item("a", "ros"), item("b", "ros"), item("a", "ros"), item("b", "ros", "slow")]
    others = [item(path) for path in "cdefg"] + [item("g", "slow")]
    assert "".join(str(each.path) for each in spread(nodes + others)) == "ggbbcdaaef"
