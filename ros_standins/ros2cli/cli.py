"""`ros2 launch`, `ros2 run` and `ros2 bag play`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ros2cli import bag, launch, run


def main(argv: list[str] | None = None) -> int:
    """The exit status. Packages are looked up in this Python's own prefix unless AMENT_PREFIX_PATH says otherwise."""
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", os.defpath)])
    parser = argparse.ArgumentParser(prog="ros2", description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    for command in (launch, run, bag):
        command.add_command(commands)
    arguments = parser.parse_args(argv)
    return arguments.main(arguments)
