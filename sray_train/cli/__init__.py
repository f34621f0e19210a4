"""The `sray` command. One file a command: a dataclass whose fields are its arguments, and `main`."""

from __future__ import annotations

import contextlib
import io
import itertools
import sys
from collections.abc import Callable
from typing import Protocol

import tyro

from sray.crash import ignore_output, one_line
from sray_train.cli.bag import Bag
from sray_train.cli.bench import Bench
from sray_train.cli.data import Data
from sray_train.cli.evaluate import Evaluate
from sray_train.cli.figures import Figures
from sray_train.cli.finetune import Finetune
from sray_train.cli.pseudolabel import PseudoLabel
from sray_train.cli.render import Render
from sray_train.cli.rooms import Rooms
from sray_train.cli.session import SessionCommand
from sray_train.cli.study import StudyCommand
from sray_train.cli.tables import Tables
from sray_train.cli.train import Train
from sray_train.cli.view import View


class Command(Protocol):
    """What every command is."""

    def main(self) -> None: ...


COMMANDS: dict[str, Callable[..., Command]] = {
    "rooms": Rooms,
    "data": Data,
    "train": Train,
    "evaluate": Evaluate,
    "render": Render,
    "finetune": Finetune,
    "pseudolabel": PseudoLabel,
    "session": SessionCommand,
    "view": View,
    "bag": Bag,
    "bench": Bench,
    "tables": Tables,
    "study": StudyCommand,
    "figures": Figures,
}


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exit status 2 for a wrong argument, 1 with one line for an error, 130 if interrupted."""
    command = _parse(arguments)
    try:
        command.main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        ignore_output()
        sys.exit(1)
    except Exception as error:
        sys.exit(f"error: {one_line('sray', error)}")


def _parse(arguments: list[str] | None) -> Command:
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            command: Command = tyro.extras.subcommand_cli_from_dict(
                COMMANDS, prog="sray", description="Semantic-Ray: make rooms, train, evaluate, measure.", args=arguments
            )
    except SystemExit as stop:
        if stop.code == 2:
            print(f"error: {_first_paragraph(complaint.getvalue())}; see sray --help", file=sys.stderr)
        raise
    return command


def _first_paragraph(box: str) -> str:
    """What is wrong, out of the box that tyro draws around it and its suggestions."""
    lines = [line.strip("│╭╮╰╯─- ") for line in box.splitlines()[1:]]
    paragraph = itertools.takewhile(bool, itertools.dropwhile(lambda line: not line, lines))
    return " ".join(paragraph).rstrip(".") or "wrong arguments"
