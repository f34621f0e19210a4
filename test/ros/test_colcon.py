"""The workspace recipe of docs/robot.md, line by line: built with colcon over the ROS wheels, then used from elsewhere.

What is built is the last commit, as for anybody who clones; `make setup` alone is left out, this environment stands in.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rig.launches import read_until
from rig.listener import Listener

ROOT = Path(__file__).resolve().parents[2]
LAST_LINE = "ros2 launch sray_ros semantic_mapping.launch.py --show-args"

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone: there is nothing to clone from"),
]

LOOK_UP = """
import json
from pathlib import Path
from typing import Any
from ament_index_python.packages import get_package_prefix, get_package_share_directory
import sray, sray_interfaces.action, sray_ros
share = Path(get_package_share_directory("sray_ros"))
print(json.dumps({
    "share": sorted(path.name for path in share.iterdir() if path.is_dir()),
    "model": sorted(path.name for path in (share / "models").glob("*.safetensors")),
    "prefixes": [get_package_prefix(name) for name in ("sray_ros", "sray_interfaces")],
    "modules": [module.__file__ for module in (sray, sray_interfaces.action, sray_ros)],
}))
"""


def recipe() -> list[str]:
    """The lines of docs/robot.md's block for a machine without ROS."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / "robot.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "--cmake-args" in block)
    return [line for line in block.splitlines() if line]


def clean_environment() -> dict[str, str]:
    """A new terminal's: nothing of ROS is set. The wheels find their own libraries at every start of Python."""
    set_by_ros = ("AMENT_", "COLCON_", "CMAKE_", "FASTDDS_", "LD_LIBRARY_PATH", "PYTHONPATH", "ROS_", "_ROS_WHEELS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith((*set_by_ros, "VIRTUAL_ENV"))}
    return kept | {"OMP_NUM_THREADS": "1"}


class Workspace:
    """A built workspace."""

    def __init__(self, folder: Path, activate: str) -> None:
        self.install = folder / "install"
        self._activate = activate

    def command(self, line: str) -> list[str]:
        """As typed into a new terminal that has sourced the workspace."""
        return ["bash", "-ec", f"{self._activate}; source {shlex.quote(str(self.install / 'setup.bash'))}; {line}"]

    def run(self, line: str, elsewhere: Path) -> str:
        """The output of a line, run in a folder outside the checkout."""
        done = subprocess.run(
            self.command(line), cwd=elsewhere, env=clean_environment(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("colcon")
    lines = recipe()
    (setup,) = (line for line in lines if line.startswith("make "))
    assert lines[-1] == LAST_LINE and ".venv/bin/activate" in setup
    # The clone would get a .venv of its own here; the one this test runs in is the same, and is there already.
    activate = setup.partition("&& ")[2].replace("src/sray_ros/.venv", shlex.quote(sys.prefix))
    lines = [activate if line == setup else line for line in lines]
    script = "\n".join(lines).replace("<this repository>", shlex.quote(str(ROOT)))
    done = subprocess.run(
        ["bash", "-ec", script], cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'params_file':" in done.stdout and str(folder / "ws/install/sray_ros/share") in done.stdout
    return Workspace(folder / "ws", activate)


def test_the_ament_index_finds_what_was_installed_and_nothing_of_the_checkout(
    workspace: Workspace, tmp_path: Path
) -> None:
    found = json.loads(workspace.run(f"python -c {shlex.quote(LOOK_UP)}", tmp_path))
    assert {"launch", "config", "models", "rviz"} <= set(found["share"])
    assert found["model"] == ["sray_indoor.safetensors", "sray_rooms.safetensors"]
    assert found["prefixes"] == [str(workspace.install / name) for name in ("sray_ros", "sray_interfaces")]
    assert all(file.startswith(str(workspace.install)) for file in found["modules"]), found["modules"]


def test_every_executable_is_where_ros2_run_looks_and_starts(workspace: Workspace, tmp_path: Path) -> None:
    entry_points = re.search(r'"console_scripts": \[(.*?)\]', (ROOT / "setup.py").read_text(), re.DOTALL)
    assert entry_points
    declared = set(re.findall(r'"(\w+) =', entry_points.group(1)))
    folder = workspace.install / "sray_ros/lib/sray_ros"
    assert {path.name for path in folder.iterdir()} == declared
    assert workspace.run("ros2 run sray_ros sray --help", tmp_path)
    # A player with nothing to play says so: it has started, found its messages, and read its parameters.
    refused = subprocess.run(
        workspace.command("ros2 run sray_ros sequence_player"),
        cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert refused.returncode == 1 and "expected one of these two parameters" in refused.stderr


@pytest.mark.shows("launch autostart")
def test_the_launch_finds_the_installed_model_and_activates_from_anywhere(
    workspace: Workspace, listener: Listener, tmp_path: Path
) -> None:
    environment = {
        **clean_environment(),
        "PYTHONUNBUFFERED": "1",
        "ROS_DOMAIN_ID": str(listener.domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    launch = subprocess.Popen(
        workspace.command("exec " + LAST_LINE.removesuffix(" --show-args")),
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output = read_until(launch, " from " + str(workspace.install / "sray_ros/share/sray_ros/models"), 60)
        get_state = listener.client(GetState, "/semantic_mapper/get_state")

        def state() -> int:
            return int(listener.call(get_state, GetState.Request()).current_state.id)

        assert listener.until(lambda: state() == State.PRIMARY_STATE_ACTIVE), output
        launch.send_signal(signal.SIGINT)
        output, _ = launch.communicate(timeout=20)
        assert launch.returncode == 0, output
    finally:
        launch.kill()
