"""For tests: `ros2 launch sray_ros semantic_mapping.launch.py` as a user types it, ended with the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters

from rig.listener import Listener


@contextmanager
def launching(listener: Listener, log: Path, **environment: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts launches in the listener's domain, with arguments as keywords; what the last one writes goes to `log`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**arguments: object) -> subprocess.Popen[bytes]:
        ros2 = shutil.which("ros2", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert ros2 is not None, "no ros2 command here; make setup"
        own = {"ROS_DOMAIN_ID": str(listener.domain), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        launch = subprocess.Popen(
            [ros2, "launch", "sray_ros", "semantic_mapping.launch.py"]
            + [f"{name}:={value}" for name, value in arguments.items()],
            stdout=log.open("wb"), stderr=subprocess.STDOUT, env=os.environ | own | environment,
            start_new_session=True,
            # a shell's background job ignores SIGINT, and so would everything started from it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
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


def ended(launch: subprocess.Popen[bytes], log: Path) -> str:
    """All that it wrote, after Ctrl-C."""
    launch.send_signal(signal.SIGINT)
    assert launch.wait(30) == 0
    return log.read_text()


def parameters(listener: Listener, node: str, *names: str) -> list[Any]:
    """What a node's parameters are."""
    response = listener.ask(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=list(names)))
    return [_value_of(value) for value in response.values]


def _value_of(value: ParameterValue) -> Any:
    return getattr(value, f"{('none', 'bool', 'integer', 'double', 'string')[value.type]}_value")
