"""For tests: `ros2 launch` as a user types it, ended with the test."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters
from ros_processes import ros2_command

from rig.listener import Listener


@contextmanager
def launching(listener: Listener, log: Path, **environment: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts semantic_mapping.launch.py in the listener's domain, with arguments as keywords.

    What the last one writes goes to `log`.
    """
    started: list[subprocess.Popen[str]] = []

    def start(**arguments: object) -> subprocess.Popen[str]:
        typed = [f"{name}:={value}" for name, value in arguments.items()]
        with log.open("wb") as output:
            launch = listener.run(
                ros2_command(), "launch", "sray_ros", "semantic_mapping.launch.py", *typed,
                stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
            )  # fmt: skip
        started.append(launch)
        return launch

    try:
        yield start
    finally:
        for launch in started:
            launch.send_signal(signal.SIGINT)  # in order: killed, it would leave its nodes behind
            try:
                launch.wait(15)
            except subprocess.TimeoutExpired:
                launch.kill()
                launch.wait()


def ended(launch: subprocess.Popen[str], log: Path) -> str:
    """All that it wrote, after Ctrl-C."""
    launch.send_signal(signal.SIGINT)
    assert launch.wait(30) == 0
    return log.read_text()


def read_until(launch: subprocess.Popen[str], text: str, timeout: float = 30.0) -> str:
    """The output up to the line that has `text`. Raises AssertionError if there is none within `timeout` seconds."""
    assert launch.stdout is not None
    seen = ""
    patience = threading.Timer(timeout, launch.send_signal, [signal.SIGTERM])
    patience.start()
    try:
        for line in launch.stdout:
            seen += line
            if text in line:
                return seen
    finally:
        patience.cancel()
    raise AssertionError(f"ended, or was ended after {timeout} s, without {text!r}:\n{seen}")


def parameters(listener: Listener, node: str, *names: str) -> list[Any]:
    """What a node's parameters are."""
    response = listener.ask(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=list(names)))
    return [_value_of(value) for value in response.values]


def _value_of(value: ParameterValue) -> Any:
    return getattr(value, f"{('none', 'bool', 'integer', 'double', 'string')[value.type]}_value")
