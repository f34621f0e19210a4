"""`ros2 run PACKAGE EXECUTABLE ARGUMENTS...`: becomes that executable."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("run", help="run an executable of a package")
    parser.add_argument("package")
    parser.add_argument("executable")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    try:
        path = Path(get_package_prefix(arguments.package)) / "lib" / arguments.package / arguments.executable
    except PackageNotFoundError:
        print(f"Package '{arguments.package}' not found", file=sys.stderr)
        return 1
    if not path.exists():
        print(f"No executable found: {path}", file=sys.stderr)
        return 1
    os.execv(path, [str(path), *arguments.arguments])
