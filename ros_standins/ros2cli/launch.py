"""`ros2 launch PACKAGE FILE name:=value ...`, or `ros2 launch PATH name:=value ...`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import DeclareLaunchArgument


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("launch", help="run a launch file")
    parser.add_argument("-s", "--show-args", "--show-arguments", action="store_true", help="show the file's arguments")
    parser.add_argument("package", help="name of a package, or path of a launch file")
    parser.add_argument("rest", nargs="*", metavar="file name:=value", help="launch file, and arguments to it")
    parser.set_defaults(main=main)


def main(arguments: argparse.Namespace) -> int:
    try:
        path, rest = find(arguments.package, arguments.rest)
        given = [parse(text) for text in rest]
    except (PackageNotFoundError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    description = load(path)
    if arguments.show_args:
        print(describe(description))
        return 0
    return LaunchService(description, given).run()


def find(package: str, rest: list[str]) -> tuple[Path, list[str]]:
    """The launch file, and what remains of the command line. Raises FileNotFoundError or PackageNotFoundError."""
    if Path(package).is_file():
        return Path(package), rest
    if not rest or ":=" in rest[0]:
        raise FileNotFoundError(f"no launch file at '{package}'; expected a path, or a package and a file's name")
    name, *rest = rest
    folder = Path(get_package_share_directory(package))
    found = [path for path in sorted(folder.resolve().glob("*")) if path.name == name]
    found += sorted((folder / "launch").rglob(name))
    if not found:
        raise FileNotFoundError(f"file '{name}' was not found in the share directory of package '{package}': {folder}")
    return found[0], rest


def parse(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(":=")
    if not separator or not name:
        raise ValueError(f"malformed launch argument '{text}', expected format '<name>:=<value>'")
    return name, value


def load(path: Path) -> LaunchDescription:
    spec = importlib.util.spec_from_file_location("launch_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def describe(description: LaunchDescription) -> str:
    lines = ["Arguments (pass arguments as '<name>:=<value>'):"]
    for argument in (each for each in description.entities if isinstance(each, DeclareLaunchArgument)):
        lines += ["", f"    '{argument.name}':", f"        {argument.description}"]
        if argument.default_value is not None:
            lines.append(f"        (default: '{LaunchContext().perform(argument.default_value)}')")
    return "\n".join(lines)
