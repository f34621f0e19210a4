"""The launch stand-in's own promises: a stop reaches everything, however stubborn, and a missing thing is named."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import launch
import pytest
from rig.launches import read_until
from rig.made_up_package import PACKAGE, MadeUpPackage
from ros_processes import is_running

pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(
        "ros_standins" not in str(launch.__file__), reason="an official launch package is installed, and wins"
    ),
]

STUBBORN = """
    # Ignores polite requests, and so does its child, which nobody knows of.
    import signal, subprocess, sys, time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("CHILD", child.pid, flush=True)
    time.sleep(600)
"""


def launching(executable: str, options: str = "") -> str:
    return f"""
from launch import LaunchDescription
from launch_ros.actions import Node
def generate_launch_description():
    return LaunchDescription([Node(package='{PACKAGE}', executable='{executable}', name='{executable}',
                                   namespace='', output='screen', {options})])
"""


@pytest.fixture
def package(tmp_path: Path) -> MadeUpPackage:
    return MadeUpPackage(tmp_path / "prefix")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_launch_alone_stops_a_stubborn_process_and_its_child(
    package: MadeUpPackage, stop: signal.Signals
) -> None:
    package.add_executable("stubborn", STUBBORN)
    started = package.start(launching("stubborn", "sigterm_timeout='0.3', sigkill_timeout='0.3'"))
    try:
        output = read_until(started, "CHILD")
        pids = [int(pid) for pid in re.findall(r"(?:CHILD |pid \[)(\d+)", output)]
        assert len(pids) == 2
        assert all(is_running(pid) for pid in pids)
        started.send_signal(stop)
        rest, _ = started.communicate(timeout=10)
    finally:
        started.kill()
    assert started.returncode == 0
    assert rest.index("'SIGINT'") < rest.index("'SIGTERM'") < rest.index("exit code -9")
    assert not any(is_running(pid) for pid in pids)


def test_what_a_process_leaves_behind_ends_with_it(package: MadeUpPackage) -> None:
    package.add_executable("parent", STUBBORN.rpartition("    time.sleep")[0])
    code, output = package.run(launching("parent"), timeout=15.0)
    assert code == 0
    (child,) = re.findall(r"CHILD (\d+)", output)
    assert not is_running(int(child))


def test_output_lines_carry_the_name_of_their_process_and_none_is_lost(package: MadeUpPackage) -> None:
    package.add_executable("chatty", "import sys\nprint('x' * 200_000)\nsys.stderr.write('last words, no newline')\n")
    code, output = package.run(launching("chatty"))
    assert code == 0
    assert f"[chatty-1] {'x' * 200_000}\n" in output
    assert "[chatty-1] last words, no newline\n" in output


@pytest.mark.parametrize(
    ("executable", "named"), [("absent", "executable 'absent' not found"), ("broken", "exit code 7")]
)
def test_what_cannot_run_is_named(package: MadeUpPackage, executable: str, named: str) -> None:
    package.add_executable("broken", "raise SystemExit(7)")
    _, output = package.run(launching(executable))
    assert named in output


def test_a_launch_file_that_raises_ends_with_one_and_stops_what_it_had_started(package: MadeUpPackage) -> None:
    code, output = package.run(
        """
from launch import LaunchDescription
from launch.actions import ExecuteProcess, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessStart
def fail(context):
    raise ValueError("the reason")
def generate_launch_description():
    running = ExecuteProcess(cmd=['sleep', '600'])
    failing = OnProcessStart(target_action=running, on_start=[OpaqueFunction(function=fail)])
    return LaunchDescription([RegisterEventHandler(failing), running])
""",
        timeout=15.0,
    )
    assert code == 1
    assert "the reason" in output
    (pid,) = re.findall(r"pid \[(\d+)\]", output)
    assert not is_running(int(pid))


def test_a_second_shutdown_fails_as_it_does_officially_where_a_lifecycle_node_is_launched(
    package: MadeUpPackage,
) -> None:
    package.add_executable("short", "")
    code, output = package.run(
        f"""
from launch import LaunchDescription
from launch.actions import Shutdown
from launch_ros.actions import LifecycleNode
def generate_launch_description():
    return LaunchDescription([
        LifecycleNode(package='{PACKAGE}', executable='short', name='short', namespace='', on_exit=Shutdown()),
        Shutdown(reason='the first'),
    ])
"""
    )
    assert code == 1
    assert "Cannot shutdown a ROS adapter that is not running" in output


def test_parameter_files_written_for_a_launch_are_gone_after_it(package: MadeUpPackage) -> None:
    package.add_executable(
        "shows", "import sys\nfrom pathlib import Path\nprint(Path(sys.argv[-1]).read_text(), sys.argv)"
    )
    code, output = package.run(launching("shows", "parameters=[{'a.b': 'text'}]"))
    assert code == 0
    assert "a.b: text" in output
    (path,) = re.findall(r"'--params-file', '([^']+)'", output)
    assert not Path(path).exists()
