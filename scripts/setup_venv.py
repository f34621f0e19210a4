#!/usr/bin/env python3
"""Set up `.venv`: ROS 2, this package and its tools, on a Linux machine without ROS. Run it again at any time.

Robots with a ROS 2 install do not need it: there, `colcon build` is the way (README). The script imports
only the standard library; the machine needs g++, Python's headers and a package registry. Each step is skipped while
its inputs are unchanged.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "setup_stamps"
LOGS = ROOT / "build" / "setup"
ENVIRONMENT = ROOT / "scripts" / "environment"
PYTHONS = [(3, minor) for minor in range(10, 14)]
"""The Python versions that the ROS wheels exist for."""

INTERFACES = [
    ROOT / "ros_standins" / "interfaces" / "tf2_msgs",
    ROOT / "ros_standins" / "interfaces" / "vision_msgs",
    ROOT / "sray_interfaces",
]
SHARED = ("launch", "config", "models", "rviz", "package.xml")
EXECUTABLES = ("semantic_mapper", "sequence_player", "label_scorer", "segmenter", "viewer")
ROS_VARIABLES = (
    "PYTHONPATH",
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "ROS_DISTRO",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",  # the ROS wheels set it together with LD_LIBRARY_PATH: clear both or none
)


class SetupError(Exception):
    """Something the user can mend; the text says how."""


@dataclass(frozen=True)
class Step:
    """One thing to do, unless it was done with the same inputs."""

    name: str
    inputs: Iterable[Path]
    action: Callable[[Path], None]
    """Takes the file that the output of its commands goes to."""


def main() -> int:
    started = time.monotonic()
    use_own_ros()
    wheels = Step("ROS 2 from wheels", [ENVIRONMENT / "ros_wheels.txt", ROOT / "constraints.txt"], install_ros_wheels)
    project = Step("sray_ros and its tools", [ROOT / "setup.py", ROOT / "constraints.txt"], install_project)
    interfaces = [
        Step(f"interfaces of {package.name}", sources_of(package), generate(package)) for package in INTERFACES
    ]
    standins = Step("stand-ins for what wheels lack", [Path(__file__)], install_standins)
    folders = Step("package folders for ros2 launch", [Path(__file__)], link_shared_files)
    # Depends on this file: a .venv of an older version lacks what this one installs first.
    venv = Step("virtual environment", [Path(__file__)], create_venv)
    # Downloads and compilers wait for different things: the project is installed while interfaces are generated.
    stages = [[venv], [wheels], [project, *interfaces], [standins], [folders]]
    try:
        check_machine()
        for stage in stages:
            run_stage(stage)
    except SetupError as error:
        print(f"\nsetup stopped: {error}", file=sys.stderr)
        return 1
    print(f"ready in {time.monotonic() - started:.1f} s: {VENV.relative_to(ROOT)}/bin/ros2 launch sray_ros ...")
    return 0


def use_own_ros() -> None:
    """Say which ROS 2 is used, and keep another one out of everything that is started from here."""
    sourced = os.environ.get("ROS_DISTRO")
    if sourced and "/opt/ros" in os.environ.get("AMENT_PREFIX_PATH", ""):
        print(
            f"A ROS 2 install ({sourced}) is sourced in this shell. .venv uses ROS 2 from wheels instead and does not "
            "mix the two; to use the install, build with colcon (README), and leave .venv alone."
        )
    for variable in ROS_VARIABLES:
        os.environ.pop(variable, None)


def check_machine() -> None:
    if not sys.platform.startswith("linux"):
        raise SetupError(f"this is {sys.platform}; the ROS wheels are for Linux. Use a container or a virtual machine.")
    missing = []
    if shutil.which("g++") is None:
        missing.append("g++")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        missing.append("python3-dev")
    if missing:
        raise SetupError(
            f"{' and '.join(missing)} not found, needed to generate the message types. "
            f"On Debian or Ubuntu: sudo apt install {' '.join(missing)}"
        )


def run_stage(steps: list[Step]) -> None:
    """Run steps that do not need each other at the same time. All end before the first one's error is raised."""
    if len(steps) > 1:
        print(f"together: {', '.join(step.name for step in steps)}", flush=True)
    with ThreadPoolExecutor(len(steps)) as pool:
        running = [pool.submit(run_step, step) for step in steps]
    for each in running:
        each.result()


def run_step(step: Step) -> None:
    """Run one step unless it has already run with the same inputs; a line when it begins, and one when it is done."""
    slug = "_".join(step.name.lower().split())
    stamp, fingerprint = STAMPS / slug, hash_of(step.inputs)
    if stamp.exists() and stamp.read_text() == fingerprint and PYTHON.exists():
        say(f"{step.name}: up to date")
        return
    say(f"{step.name} ...")
    started = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    step.action(LOGS / f"{slug}.log")
    STAMPS.mkdir(exist_ok=True)
    stamp.write_text(fingerprint)
    say(f"{step.name}: {time.monotonic() - started:.1f} s")


def say(line: str) -> None:
    """One line in one write: steps that run together do not write into each other's."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def hash_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def call(log: Path, *command: str | Path, environment: dict[str, str] | None = None) -> None:
    """Run a command with its output in `log`; its end is shown if it fails."""
    with log.open("ab") as out:
        code = subprocess.run(
            [str(part) for part in command], cwd=ROOT, stdout=out, stderr=out, env=os.environ | (environment or {})
        ).returncode
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise SetupError(f"{Path(command[0]).name} failed with code {code}.\n{tail}\nAll of it: {log}")


def create_venv(log: Path) -> None:
    """With pip for the user, and uv, which installs the many packages in a tenth of pip's time."""
    if not PYTHON.exists():
        call(log, sys.executable, "-m", "venv", VENV)
    call(log, PYTHON, "-m", "pip", "install", "uv")


def install(log: Path, *what: str | Path) -> None:
    """Install packages into `.venv`, as pip is configured to, with uv."""
    # Two installs may run at once (uv locks its cache), and one that was interrupted installs what is missing.
    call(
        log, VENV / "bin" / "uv", "pip", "install", "--python", PYTHON, "-c", "constraints.txt", *what,
        environment=uv_settings(pip_settings()),
    )  # fmt: skip


def pip_settings() -> dict[str, str]:
    """Pip's configuration: files, then environment variables, which go before them, as `pip config` tells it."""
    listed = subprocess.run(
        [str(PYTHON), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        if section in ("global", "install", ":env:"):
            # ":env:" is listed first, and the environment wins.
            settings.setdefault(name, value.strip().strip("'").replace("\\n", " ").strip())
    return settings


def uv_settings(pip: dict[str, str]) -> dict[str, str]:
    """Environment variables that make uv use the registries, certificates and constraints that pip is set up with.

    A variable of uv that the user has set stays as it is.
    """
    names = {
        "index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_EXTRA_INDEX_URL", "find-links": "UV_FIND_LINKS",
        "constraint": "UV_CONSTRAINT", "cert": "SSL_CERT_FILE", "default-timeout": "UV_HTTP_TIMEOUT",
        "timeout": "UV_HTTP_TIMEOUT",
    }  # fmt: skip
    settings = {variable: pip[name] for name, variable in names.items() if pip.get(name)}
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = ",".join(settings["UV_FIND_LINKS"].split())
    if pip.get("no-index") in ("1", "true", "yes", "on"):
        settings["UV_NO_INDEX"] = "1"
    # As pip: the best version over all registries, not over the first that has the package.
    settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in settings.items() if name not in os.environ}


def install_ros_wheels(log: Path) -> None:
    install(log, "-r", ENVIRONMENT / "ros_wheels.txt")


def install_project(log: Path) -> None:
    install(log, "-e", ".[train,segmenter,viewer,dev]")


def install_standins(_log: Path) -> None:
    """Put ros_standins/ at the end of sys.path, so that an official package always wins, and install `ros2`."""
    site_packages = next(VENV.glob("lib/python3*/site-packages"))
    folder = str(ROOT / "ros_standins")
    (site_packages / "zzz_ros_standins.pth").write_text(
        f"import sys; {folder!r} in sys.path or sys.path.append({folder!r})\n"
    )
    ros2 = VENV / "bin" / "ros2"
    ros2.write_text(f"#!{PYTHON}\nimport sys\n\nfrom ros2cli.cli import main\n\nsys.exit(main())\n")
    ros2.chmod(0o755)


def link_shared_files(_log: Path) -> None:
    """What `colcon build --symlink-install` would put under the install prefix."""
    for name in SHARED:
        link(VENV / "share" / "sray_ros" / name, ROOT / name)
    link(VENV / "share/ament_index/resource_index/packages/sray_ros", ROOT / "resource/sray_ros")
    for name in EXECUTABLES:
        link(VENV / "lib" / "sray_ros" / name, VENV / "bin" / name)


def link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def sources_of(package: Path) -> list[Path]:
    return [*sorted(file for file in package.rglob("*") if file.is_file()), ENVIRONMENT / "wheel_targets.cmake"]


def generate(package: Path) -> Callable[[Path], None]:
    """Generate an interface package with plain CMake, into the virtual environment."""

    def build(log: Path) -> None:
        cmake, folder = VENV / "bin" / "cmake", ROOT / "build" / "interfaces" / package.name
        settings = {
            "CMAKE_MAKE_PROGRAM": VENV / "bin" / "ninja",
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_PREFIX_PATH": VENV,
            "CMAKE_INSTALL_PREFIX": VENV,
            "CMAKE_PROJECT_INCLUDE": ENVIRONMENT / "wheel_targets.cmake",
            "Python3_EXECUTABLE": PYTHON,
            "BUILD_TESTING": "OFF",
        }
        shutil.rmtree(folder, ignore_errors=True)
        call(log, cmake, "-S", package, "-B", folder, "-GNinja", *(f"-D{k}={v}" for k, v in settings.items()))
        call(log, cmake, "--build", folder)
        call(log, cmake, "--install", folder)

    return build


def suitable_python() -> str:
    """This Python, or another one on the machine that the ROS wheels exist for."""
    if sys.version_info[:2] in PYTHONS:
        return sys.executable
    for major, minor in reversed(PYTHONS):
        if found := shutil.which(f"python{major}.{minor}"):
            return found
    found_version = ".".join(map(str, sys.version_info[:2]))
    sys.exit(f"setup stopped: Python {found_version} found; the ROS wheels need 3.10 to 3.13. Install one of them.")


if __name__ == "__main__":
    if (chosen := suitable_python()) != sys.executable:
        os.execv(chosen, [chosen, *sys.argv])
    sys.exit(main())
