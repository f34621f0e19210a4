#!/usr/bin/env python3
"""Writes docs/ros_api.md and docs/faults.md: from what the code declares, and from what the tests say they show.

    python scripts/write_docs.py            writes both
    python scripts/write_docs.py --check    exit status 1, and what to do, if either is out of date

A test says with `pytest.mark.shows(row, ...)` which rows of the API it shows to hold, with `pytest.mark.fault(...)`
which fault it brings about. Neither document is edited by hand.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from sray_ros.common.parameters import NodeParameter, declared_in
from sray_ros.common.topics import Topic
from sray_ros.mapper import api as mapper_api
from sray_ros.mapper import node as semantic_mapper
from sray_ros.mapper.parameters import MapperSettings
from sray_ros.player import api as player_api
from sray_ros.player import node as sequence_player
from sray_ros.player.parameters import PlayerSettings
from sray_ros.scorer import api as scorer_api
from sray_ros.scorer import node as label_scorer
from sray_ros.scorer.parameters import ScorerSettings
from sray_ros.segmenter import api as segmenter_api
from sray_ros.segmenter import node as segmenter
from sray_ros.segmenter.parameters import SegmenterSettings
from sray_ros.viewer import api as viewer_api
from sray_ros.viewer import node as viewer
from sray_ros.viewer.parameters import ViewerSettings

OTHERS: dict[str, tuple[str, Any, type]] = {
    "player": ("sequence_player", player_api, PlayerSettings),
    "segmenter": ("segmenter", segmenter_api, SegmenterSettings),
    "scorer": ("label_scorer", scorer_api, ScorerSettings),
    "viewer": ("viewer", viewer_api, ViewerSettings),
}
"""Nodes beside the mapper, by the prefix of their rows: name, topics and services, parameters."""
PREFIXES = ("error", "launch", *OTHERS)
"""Of rows whose names are another table's too."""
API, FAULTS = ROOT / "docs" / "ros_api.md", ROOT / "docs" / "faults.md"


@dataclass(frozen=True)
class Mark:
    """One marker of one test."""

    kind: str
    test: str
    """As pytest names it, without `test/`."""
    arguments: tuple[str, ...]
    keywords: dict[str, str]


def marks(folder: Path = ROOT / "test") -> list[Mark]:
    """Every `shows` and `fault` of every test, in the order of the files. Read, not run."""
    return [mark for path in sorted(folder.rglob("test_*.py")) for mark in _marks_of(path, folder)]


def _marks_of(path: Path, folder: Path) -> Iterator[Mark]:
    tree = ast.parse(path.read_text(), str(path))
    of_module: list[ast.expr] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            of_module = [node.value]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for found in _calls([*of_module, *node.decorator_list]):
                yield Mark(found.func.attr, f"{path.relative_to(folder)}::{node.name}", *_literals(found, path))  # type: ignore[attr-defined]


def _calls(expressions: Iterable[ast.expr]) -> Iterator[ast.Call]:
    for expression in expressions:
        for node in ast.walk(expression):
            is_mark = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_mark and ast.unparse(node.func) in ("pytest.mark.shows", "pytest.mark.fault"):
                yield node


def _literals(call: ast.Call, path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    try:
        arguments = tuple(ast.literal_eval(argument) for argument in call.args)
        return arguments, {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    except ValueError as error:
        raise SystemExit(f"{path}:{call.lineno}: the arguments of a marker are plain strings ({error})") from error


@dataclass(frozen=True)
class Table:
    """Rows of the API: the name of each, and what stands beside it."""

    title: str
    head: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]


def api_tables() -> list[Table]:
    """Everything that the code declares."""
    return [
        Table("Nodes", ("",), dict(_nodes())),
        Table("Subscribes", ("type", "QoS", ""), {t.name: _topic(t) for t in mapper_api.SUBSCRIBED}),
        Table("Publishes", ("type", "QoS", ""), {_published(t): _topic(t) for t in mapper_api.PUBLISHED}),
        Table("Actions", ("type", ""), {c.name: (_type(c.type), c.text) for c in mapper_api.ACTIONS}),
        Table("Services", ("type", ""), {c.name: (_type(c.type), c.text) for c in mapper_api.SERVICES}),
        Table("Errors", ("number", ""), {f"error {name}": row for name, row in _errors()}),
        Table(
            "Parameters",
            ("default", "range", "", "a change applies"),
            {p.name: _parameter(p) for p in declared_in(MapperSettings)},
        ),
        Table("Launch arguments", ("default", ""), {f"launch {a.name}": row for a, row in _launch_arguments()}),
        *(table for prefix in OTHERS for table in _tables_of(prefix)),
    ]


def _tables_of(prefix: str) -> Iterator[Table]:
    """The topics and the parameters of a node beside the mapper."""
    name, api, settings = OTHERS[prefix]
    rows = {}
    for what, offered in (("subscribes", api.SUBSCRIBED), ("publishes", getattr(api, "PUBLISHED", ()))):
        rows |= {f"{prefix} {topic.name}": (what, *_topic(topic)) for topic in offered}
    for call in getattr(api, "SERVICES", ()):
        rows[f"{prefix} {call.name}"] = ("serves", _type(call.type), "", call.text)
    of_whom = " (~ is the mapper)" if prefix == "viewer" else ""
    yield Table(f"Topics of {name}{of_whom}", ("", "type", "QoS", ""), rows)
    parameters = {f"{prefix} {p.name}": _parameter(p) for p in declared_in(settings)}
    yield Table(f"Parameters of {name}", ("default", "range", "", "a change applies"), parameters)


def _nodes() -> Iterator[tuple[str, tuple[str, ...]]]:
    nodes = {
        "semantic_mapper": semantic_mapper,
        "sequence_player": sequence_player,
        "segmenter": segmenter,
        "label_scorer": label_scorer,
        "viewer": viewer,
    }
    for name, module in nodes.items():
        yield name, (" ".join(str(module.__doc__).split("\n\n")[0].split()),)


def _published(topic: Topic) -> str:
    kinds = {mapper_api.VIEW_FRAME: "/tf (view)", mapper_api.CLOUD_FRAME: "/tf_static (clouds)"}
    return kinds.get(topic, topic.name)


def _topic(topic: Topic) -> tuple[str, ...]:
    reliability = "as offered" if topic.is_auto else "best effort" if topic.is_best_effort else "reliable"
    return _type(topic.type), f"{reliability}, depth {topic.depth}{', latched' * topic.is_latched}", topic.text


def _type(interface: type) -> str:
    package, kind = interface.__module__.split(".")[:2]
    name = f"{package}/{kind}/{interface.__name__}"
    if package == "sray_interfaces":  # ours: its fields are explained in its file
        return f"[{name}](../{name}.{kind})"
    return name


def _parameter(parameter: NodeParameter) -> tuple[str, ...]:
    if parameter.choices:
        span = parameter.choices_in_words
    elif parameter.within is not None:
        span = f"{parameter.within[0]:g} to {parameter.within[1]:g}"
    else:
        span = type(parameter.default).__name__
    return f"`{_value(parameter.default)}`", span, parameter.text, parameter.applies


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) if value != "" else "''"


def _errors() -> Iterator[tuple[str, tuple[str, ...]]]:
    text = (ROOT / "sray_interfaces" / "msg" / "ErrorCode.msg").read_text()
    for name, number, meaning in re.findall(r"^uint8 (\w+) = (\d+)(?: *# (.*))?$", text, re.MULTILINE):
        yield name, (number, meaning)


def _launch_arguments() -> Iterator[tuple[Any, tuple[str, ...]]]:
    spec = importlib.util.spec_from_file_location("launch_file", ROOT / "launch" / "semantic_mapping.launch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for argument in module.ARGUMENTS:
        default = argument.default_value
        parts = [default] if isinstance(default, str) or not isinstance(default, Iterable) else default
        # What is not text is a folder of the installed package.
        text = "".join(part if isinstance(part, str) else getattr(part, "text", "the package's own") for part in parts)
        yield argument, (f"`{_value(text)}`", argument.description)


def api_page(tables: list[Table], found: list[Mark]) -> str:
    """Raises SystemExit, naming it, for a test that shows a row that does not exist."""
    shown: dict[str, list[str]] = {row: [] for table in tables for row in table.rows}
    for mark in found:
        for row in mark.arguments if mark.kind == "shows" else ():
            if row not in shown:
                raise SystemExit(f"{mark.test} shows {row!r}, which nothing declares; see docs/ros_api.md for the rows")
            if mark.test not in shown[row]:
                shown[row].append(mark.test)
    parts = [
        "# ROS API of semantic_mapper\n\nWritten by `python scripts/write_docs.py` from the node's own declarations. "
        "The last column names a test that shows the row to hold. Names are relative to the node's namespace, `~` is "
        "the node. Latched is transient local.\n"
    ]
    for table in tables:
        head = ("", *table.head, "test")
        lines = [f"## {table.title}\n", _line(head), _line(["---"] * len(head))]
        for name, row in table.rows.items():
            label = name.split(" ", 1)[-1] if name.split(" ")[0] in PREFIXES else name
            lines.append(_line((f"`{label}`", *row, _links(shown[name]))))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def unshown(tables: list[Table], found: list[Mark]) -> list[str]:
    """Rows that no test shows."""
    shown = {row for mark in found if mark.kind == "shows" for row in mark.arguments}
    return [row for table in tables for row in table.rows if row not in shown]


def faults_page(found: list[Mark]) -> str:
    """One line a fault."""
    lines = [
        "# What goes wrong, and what happens then\n\nWritten by `python scripts/write_docs.py` from the tests that "
        "bring each fault about. The codes are those of `sray_interfaces/msg/ErrorCode`; the node's diagnostics count "
        "every refusal and hold the last one's text. Commands, and nodes that cannot start, say the same in one line "
        "on standard error, without a code.\n",
        _line(("fault", "code", "said where", "how it goes on", "test")),
        _line(["---"] * 5),
    ]
    for mark in found:
        if mark.kind == "fault":
            words = mark.keywords
            code = words["code"] if words["code"] == "none" else f"`{words['code']}`"
            lines.append(_line((mark.arguments[0], code, words["says"], words["recovery"], _links([mark.test]))))
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _links(tests: list[str]) -> str:
    return ", ".join(f"[{test.split('::')[1][5:]}](../test/{test.split('::')[0]})" for test in tests[:2])


def pages() -> dict[Path, str]:
    found = marks()
    return {API: api_page(api_tables(), found), FAULTS: faults_page(found)}


def main() -> int:
    outdated = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        for path in outdated:
            print(f"{path.relative_to(ROOT)} is out of date; run python scripts/write_docs.py", file=sys.stderr)
        return 1 if outdated else 0
    for path, text in pages().items():
        path.write_text(text)
    for row in unshown(api_tables(), marks()):
        print(f"no test shows {row}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
