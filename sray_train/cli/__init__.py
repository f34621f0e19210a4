"""The `sray` command. One file a command: a dataclass whose fields are its arguments, and `main`."""

from __future__ import annotations

import sys
from typing import Protocol

import tyro

from sray.errors import SrayError
from sray_train.cli.evaluate import Evaluate
from sray_train.cli.rooms import Rooms
from sray_train.cli.train import Train


class Command(Protocol):
    """What every command is."""

    def main(self) -> None: ...


COMMANDS: dict[str, type[Command]] = {"rooms": Rooms, "train": Train, "evaluate": Evaluate}


def main(arguments: list[str] | None = None) -> None:
    """Run one command. Exit status 2 for a wrong argument, 1 for an error a user can act on, 130 if interrupted."""
    command = tyro.extras.subcommand_cli_from_dict(
        {name: _constructor(kind) for name, kind in COMMANDS.items()},
        prog="sray",
        description="Semantic-Ray: make rooms, train, evaluate.",
        args=arguments,
    )
    try:
        command.main()
    except SrayError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _constructor(kind: type[Command]) -> type[Command]:
    return kind
