"""The demo's side of ROS 2: its environment, its command, and what its processes say in their logs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from demo_processes import Processes

from sray.errors import ErrorCode, SrayError

ROOT = Path(__file__).resolve().parents[1]
STANDINS = ("tf2_ros", "message_filters", "cv_bridge", "sensor_msgs_py", "launch", "launch_ros", "ros2cli")


def ros_environment() -> dict[str, str]:
    """A DDS domain of our own on this machine alone, with room for images in shared memory."""
    environment = dict(os.environ)
    environment["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101)
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    environment.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(ROOT / "config" / "fastdds_shared_memory.xml"))
    environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def ros2_command() -> str:
    beside = Path(sys.executable).parent / "ros2"
    found = str(beside) if beside.is_file() else shutil.which("ros2")
    if not found:
        raise SrayError(ErrorCode.BAD_FILE, "there is no ros2 command; expected it in .venv/bin, run `make setup`")
    return found


def standins_in_use() -> tuple[str, ...]:
    """Which ROS packages are this repository's stand-ins, on this machine."""
    found = ((name, importlib.util.find_spec(name)) for name in STANDINS)
    return tuple(name for name, spec in found if spec and spec.origin and "ros_standins" in spec.origin)


def await_recorder(running: Processes, launch: subprocess.Popen[bytes], deadline: float) -> None:
    """Until the mapper's topics exist and the recorder hears them."""
    while "ready" not in running.log("recorder").read_text(errors="replace").split():
        if launch.poll() is not None:
            raise SrayError(
                ErrorCode.INTERNAL, f"the mapping did not start: {last_line(running.log('launch').read_text())}"
            )
        if time.monotonic() > deadline:
            raise SrayError(ErrorCode.STALE, "the mapper published nothing in time; expected it configured by now")
        time.sleep(0.2)


def read_params(path: Path) -> dict[str, Any]:
    """The mapper's parameters in a ROS parameter file. Raises SrayError(BAD_FILE), naming the file."""
    try:
        (node,) = yaml.safe_load(path.read_text()).values()
        return dict(node["ros__parameters"])
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise SrayError(
            ErrorCode.BAD_FILE, f"{path} is no parameter file of one node ({error!r}); expected one as config/demo.yaml"
        ) from error


def write_params(parameters: dict[str, Any], path: Path) -> Path:
    """A parameter file of the mapper; returns where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"/**/semantic_mapper": {"ros__parameters": parameters}}))
    return path.resolve()


def last_line(text: str) -> str:
    """The last complaint in a log, else its last line; that a process died is known, why is the question."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and "process has died" not in line]
    errors = [line for line in lines if re.search(r"error|cannot|fatal", line, re.IGNORECASE)]
    return (errors or lines or ["nothing was logged"])[-1]
