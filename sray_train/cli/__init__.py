"""The `sray` command. One file a command: a dataclass whose fields are its arguments, and `main`.

A command's file is imported when it is asked for: most of them import torch and more, which takes seconds.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import io
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import tyro


class Command(Protocol):
    """What every command is."""

    def main(self) -> None: ...


COMMANDS: dict[str, str] = {
    "rooms": "Rooms",
    "data": "Data",
    "train": "Train",
    "evaluate": "Evaluate",
    "render": "Render",
    "finetune": "Finetune",
    "pseudolabel": "PseudoLabel",
    "session": "SessionCommand",
    "view": "View",
    "bag": "Bag",
    "bench": "Bench",
    "tables": "Tables",
    "study": "StudyCommand",
    "figures": "Figures",
    "levels": "Levels",
    "compare": "Compare",
}
"""Each command's class, in the module of the command's name."""
SHORT_HELP = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
"""A switch has the one spelling that changes it; an option without a value is left out, not given as None."""


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exit status 2 for a wrong argument, 1 with one line for an error, 130 if interrupted."""
    try:
        _parse(arguments).main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        from sray.crash import ignore_output

        ignore_output()
        sys.exit(1)
    except Exception as error:
        from sray.crash import one_line  # imports torch

        sys.exit(f"error: {one_line('sray', error)}")


def _parse(arguments: list[str] | None) -> Command:
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            command: Command = tyro.extras.subcommand_cli_from_dict(
                _choices(sys.argv[1:] if arguments is None else arguments),
                prog="sray",
                description="Semantic-Ray: make rooms, train, evaluate, measure.",
                args=arguments,
                config=SHORT_HELP,
            )
    except SystemExit as stop:
        if stop.code == 2:
            print(f"error: {_first_paragraph(complaint.getvalue())}; see sray --help", file=sys.stderr)
        raise
    return command


def _choices(arguments: list[str]) -> dict[str, Callable[..., Command]]:
    """All commands: the one that is asked for itself, in place of each other one what the list of commands needs."""
    asked = arguments[0] if arguments else ""
    return {name: _imported(name) if name == asked else _listed(name) for name in COMMANDS}


def _imported(name: str) -> Callable[..., Command]:
    command: Callable[..., Command] = getattr(importlib.import_module(f"sray_train.cli.{name}"), COMMANDS[name])
    return command


def _listed(name: str) -> Callable[..., Command]:
    """A command without arguments, with the docstring of the real one, which is read and not imported."""
    tree = ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    classes = {each.name: each for each in tree.body if isinstance(each, ast.ClassDef)}
    told = ast.get_docstring(classes[COMMANDS[name]])
    return dataclasses.make_dataclass(COMMANDS[name], [], namespace={"__doc__": told})


def _first_paragraph(box: str) -> str:
    """What is wrong, out of the box that tyro draws around it and its suggestions."""
    lines = [line.strip("│╭╮╰╯─ ") for line in box.splitlines()[1:]]
    paragraph = itertools.takewhile(bool, itertools.dropwhile(lambda line: not line, lines))
    return " ".join(paragraph).rstrip(".") or "wrong arguments"
