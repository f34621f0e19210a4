"""For tests of launching: a package made up for the test, launched with whichever `ros2` this environment has."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

from rig.domains import Domain

PACKAGE = "made_up"


class MadeUpPackage:
    """Executables and launch files under a prefix of their own, found through AMENT_PREFIX_PATH."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.share = prefix / "share" / PACKAGE
        (prefix / "lib" / PACKAGE).mkdir(parents=True)
        (self.share / "launch").mkdir(parents=True)
        index = prefix / "share/ament_index/resource_index/packages"
        index.mkdir(parents=True)
        (index / PACKAGE).touch()
        self._reserved = Domain()  # for as long as the package is needed
        self.domain = str(self._reserved.number)

    def add_executable(self, name: str, code: str) -> None:
        path = self.prefix / "lib" / PACKAGE / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}")
        path.chmod(0o755)

    def start(self, code: str, *arguments: str, name: str = "test.launch.py") -> subprocess.Popen[str]:
        """`ros2 launch` with a launch file of this code; it leads a process group, as it would on a terminal."""
        (self.share / "launch" / name).write_text(textwrap.dedent(code))
        ros2 = shutil.which("ros2", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert ros2 is not None, "no ros2 command here; make setup"
        prefixes = os.environ.get("AMENT_PREFIX_PATH", sys.prefix)
        environment = os.environ | {
            "AMENT_PREFIX_PATH": f"{self.prefix}:{prefixes}",
            "PYTHONUNBUFFERED": "1",
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_DOMAIN_ID": self.domain,
        }
        return subprocess.Popen(
            [ros2, "launch", PACKAGE, name, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
            # a shell's background job ignores SIGINT, and so would everything started from it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )

    def run(self, code: str, *arguments: str, timeout: float = 60.0) -> tuple[int, str]:
        """Exit code and output of a launch that ends by itself."""
        launch = self.start(code, *arguments)
        try:
            output, _ = launch.communicate(timeout=timeout)
        finally:
            launch.kill()
        return launch.returncode, output


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


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
