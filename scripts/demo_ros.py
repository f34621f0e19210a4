"""The demos' side of ROS 2: what they start, the parameters it gets, and what it says in its logs."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from ros_processes import Processes, ros2_command

from sray.errors import FileError, InternalError, SrayError, StaleError
from sray_train.tools.bags import BagLayout

STANDINS = ("tf2_ros", "message_filters", "cv_bridge", "sensor_msgs_py", "launch", "launch_ros", "ros2cli")


def standins_in_use() -> tuple[str, ...]:
    """Which ROS packages are this repository's stand-ins, on this machine."""
    found = ((name, importlib.util.find_spec(name)) for name in STANDINS)
    return tuple(name for name, spec in found if spec and spec.origin and "ros_standins" in spec.origin)


def start_mapping(running: Processes, params: Path, checkpoint: Path, *more: str) -> subprocess.Popen[bytes]:
    """The launch file, on the topics of a bag that `write_bag` has written; `more`: other launch arguments."""
    layout = BagLayout()
    return running.start(
        "launch",
        ros2_command(), "launch", "sray_ros", "semantic_mapping.launch.py", f"params_file:={params}",
        f"model:={checkpoint.resolve()}", f"image:={layout.image}", f"camera_info:={layout.camera_info}",
        f"depth:={layout.depth}", "use_sim_time:=true", *more,
    )  # fmt: skip


def start_player(running: Processes, bag: Path, *, lockstep_timeout: float) -> subprocess.Popen[bytes]:
    """Plays the bag as fast as the mapper handles its pictures, each within so many seconds."""
    return running.start(
        "player",
        sys.executable, "-m", "sray_ros.player.node", "--ros-args",
        "-r", "handled:=/semantic_mapper/handled", "-p", f"bag:={bag.resolve()}",
        "-p", f"image_topic:={BagLayout().image}", "-p", "lockstep:=true", "-p", "rate:=10.0",
        "-p", "wait_for_subscribers:=120.0", "-p", f"lockstep_timeout:={lockstep_timeout}",
    )  # fmt: skip


def clear_output(folder: Path, products: Iterable[str]) -> None:
    """Make the folder, without what an earlier run has left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in products:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def run(name: str, demo: Callable[[], int]) -> int:
    """The exit status of a demo: what goes wrong is one line, and it ends in order on SIGTERM as on Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return demo()
    except SrayError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted; everything it started has ended", file=sys.stderr)
        return 130


def await_recorder(running: Processes, launch: subprocess.Popen[bytes], deadline: float) -> None:
    """Until the mapper's topics exist and the recorder hears them."""
    while "ready" not in running.log("recorder").read_text(errors="replace").split():
        if launch.poll() is not None:
            raise InternalError(f"the mapping did not start: {last_line(running.log('launch').read_text())}")
        if time.monotonic() > deadline:
            raise StaleError("the mapper published nothing in time", "it configured by now")
        time.sleep(0.2)


def read_params(path: Path) -> dict[str, Any]:
    """The mapper's parameters in a ROS parameter file. Raises FileError, naming the file."""
    try:
        (node,) = yaml.safe_load(path.read_text()).values()
        return dict(node["ros__parameters"])
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path} is no parameter file of one node ({error!r})", "one as config/demo.yaml") from error


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
