"""For tests of launching: a package made up for the test, launched with whichever `ros2` this environment has."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from ros_processes import Domain, ros2_command

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
        self._domain = Domain()  # for as long as the package is needed

    def add_executable(self, name: str, code: str) -> None:
        path = self.prefix / "lib" / PACKAGE / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}")
        path.chmod(0o755)

    def start(self, code: str, *arguments: str, name: str = "test.launch.py") -> subprocess.Popen[str]:
        """`ros2 launch` with a launch file of this code; it leads a process group, as it would on a terminal."""
        (self.share / "launch" / name).write_text(textwrap.dedent(code))
        environment = self._domain.environment()
        environment["AMENT_PREFIX_PATH"] = f"{self.prefix}:{environment['AMENT_PREFIX_PATH']}"
        return subprocess.Popen(
            [ros2_command(), "launch", PACKAGE, name, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def run(self, code: str, *arguments: str, timeout: float = 60.0) -> tuple[int, str]:
        """Exit code and output of a launch that ends by itself."""
        launch = self.start(code, *arguments)
        try:
            output, _ = launch.communicate(timeout=timeout)
        finally:
            launch.kill()
        return launch.returncode, output
