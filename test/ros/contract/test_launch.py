"""What our launch files rely on in `launch`, `launch_ros` and `ros2 launch`: official packages or stand-ins."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from rig.launches import read_until
from rig.made_up_package import PACKAGE, MadeUpPackage
from ros_processes import is_running

pytestmark = pytest.mark.ros

REPORTER = """
    # Says who it is, and ends.
    import json, sys
    import rclpy
    from std_msgs.msg import Empty
    rclpy.init()
    node = rclpy.create_node("unnamed", automatically_declare_parameters_from_overrides=True)
    publisher = node.create_publisher(Empty, "output", 1)
    parameters = {n: p.value for n, p in node._parameters.items() if n.startswith("own.")}
    print("REPORT", json.dumps({
        "name": node.get_fully_qualified_name(), "topic": publisher.topic_name, "parameters": parameters,
        "arguments": sys.argv[1:2],
    }))
    node.destroy_node()
    rclpy.shutdown()
"""
IMPORTS = """
from launch import LaunchDescription
from launch.actions import *
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.substitutions import *
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
"""


def described(*entities: str) -> str:
    body = ",\n        ".join(entities)
    return f"{IMPORTS}\n\ndef generate_launch_description():\n    return LaunchDescription([\n        {body}\n    ])\n"


def reports(output: str) -> list[dict]:
    return [json.loads(text) for text in re.findall(r"REPORT (.*)", output)]


@pytest.fixture
def package(tmp_path: Path) -> MadeUpPackage:
    made = MadeUpPackage(tmp_path / "prefix")
    made.add_executable("reporter", REPORTER)
    return made


def test_a_node_gets_name_namespace_remapping_arguments_and_parameters(package: MadeUpPackage) -> None:
    (package.share / "from_file.yaml").write_text(
        "/**:\n  ros__parameters:\n    own: {from_file: 1.5, both: file}\n"
        "/**/reporter:\n  ros__parameters:\n    own: {by_name: true}\n"
        "/**/somebody_else:\n  ros__parameters:\n    own: {not_ours: 1}\n"
    )
    code, output = package.run(
        described(
            f"""Node(
            package='{PACKAGE}', executable='reporter', name='reporter', namespace='robot', output='screen',
            arguments=['first'], remappings=[('output', 'renamed/output')],
            parameters=[
                PathJoinSubstitution([FindPackageShare('{PACKAGE}'), 'from_file.yaml']),
                {{'own.both': 'dictionary', 'own.whole': 3, 'own.on': False, 'own.list': [1.0, 2.0],
                 'own.text': ParameterValue('42', value_type=str)}},
            ])""",
        ),
    )
    assert code == 0, output
    assert reports(output) == [
        {
            "name": "/robot/reporter",
            "topic": "/robot/renamed/output",
            "arguments": ["first"],
            "parameters": {
                "own.from_file": 1.5,
                "own.by_name": True,
                "own.both": "dictionary",  # the later one wins
                "own.text": "42",
                "own.whole": 3,
                "own.on": False,
                "own.list": [1.0, 2.0],
            },
        }
    ]


def test_an_environment_variable_reaches_what_is_started_after_it(package: MadeUpPackage) -> None:
    say = "ExecuteProcess(cmd=['sh', '-c', 'echo MARK=$MARK'], output='screen')"
    code, output = package.run(described("SetEnvironmentVariable('MARK', 'set')", say))
    assert code == 0, output
    assert "MARK=set" in output


def test_a_function_decides_what_runs(package: MadeUpPackage) -> None:
    code, output = package.run(
        described(
            "DeclareLaunchArgument('wanted', default_value='false', choices=['true', 'false'])",
            "OpaqueFunction(function=lambda context: [LogInfo(msg='from ' + context.launch_configurations['wanted'])])",
        ),
        "wanted:=true",
    )
    assert code == 0, output
    assert "from true" in output


def test_arguments_are_described_and_nonsense_is_refused_by_name(package: MadeUpPackage) -> None:
    code = described(
        "DeclareLaunchArgument('speed', default_value='slow', choices=['slow', 'fast'], description='How')"
    )
    status, shown = package.run(code, "--show-args")
    assert status == 0
    assert "'speed':" in shown
    assert "How" in shown
    assert "(default: 'slow')" in shown
    status, refused = package.run(code, "speed:=warp")
    assert status == 1
    assert "speed" in refused
    assert "warp" in refused
    assert package.run(described("DeclareLaunchArgument('needed', description='Which')"))[0] == 1


def test_processes_starting_and_ending_are_events(package: MadeUpPackage) -> None:
    code, output = package.run(
        f"""{IMPORTS}
def generate_launch_description():
    first = ExecuteProcess(cmd=['sh', '-c', 'echo first runs'], output='screen')
    second = ExecuteProcess(cmd=['sh', '-c', 'echo second runs; exit 3'], output='screen')
    forever = ExecuteProcess(cmd=['sleep', '600'], on_exit=[LogInfo(msg='the long one ended')])
    def ended(event, context):
        return [LogInfo(msg=f'second returned {{event.returncode}}'), Shutdown(reason='enough')]
    return LaunchDescription([
        forever,
        RegisterEventHandler(OnProcessStart(target_action=first, on_start=[LogInfo(msg='first is there')])),
        RegisterEventHandler(OnProcessExit(target_action=first, on_exit=[second])),
        RegisterEventHandler(OnProcessExit(target_action=second, on_exit=ended)),
        first,
    ])
"""
    )
    assert code == 0, output
    order = ["first is there", "first runs", "second runs", "second returned 3", "the long one ended"]
    assert all(text in output for text in order), output
    assert output.index("first runs") < output.index("second runs") < output.index("second returned 3")


LIFECYCLE = """
    import rclpy
    from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
    class Managed(LifecycleNode):
        def on_configure(self, state):
            print("CONFIGURED", self.get_name(), flush=True)
            return TransitionCallbackReturn.SUCCESS
        def on_activate(self, state):
            print("ACTIVATED", self.get_name(), flush=True)
            return super().on_activate(state)
    rclpy.init()
    node = Managed("unnamed")
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    print("STOPPED", flush=True)
    node.destroy_node()
    rclpy.try_shutdown()
"""


def test_a_lifecycle_node_is_activated_once_it_is_configured_and_ctrl_c_leaves_nothing(package: MadeUpPackage) -> None:
    package.add_executable("managed", LIFECYCLE)
    launch = package.start(
        f"""{IMPORTS}
from lifecycle_msgs.msg import Transition
def generate_launch_description():
    node = LifecycleNode(package='{PACKAGE}', executable='managed', name='managed', namespace='robot', output='screen')
    def change(transition):
        return EmitEvent(event=ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition))
    return LaunchDescription([
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=node, start_state='configuring', goal_state='inactive',
            entities=[change(Transition.TRANSITION_ACTIVATE)])),
        RegisterEventHandler(OnStateTransition(
            target_lifecycle_node=node, goal_state='active', entities=[LogInfo(msg='NOW ACTIVE')])),
        RegisterEventHandler(OnProcessStart(target_action=node, on_start=[change(Transition.TRANSITION_CONFIGURE)])),
        node,
    ])
"""
    )
    try:
        output = read_until(launch, "NOW ACTIVE")
        if "ACTIVATED managed" not in output:  # one comes over DDS, the other through a pipe
            output += read_until(launch, "ACTIVATED managed")
        assert output.index("CONFIGURED managed") < output.index("ACTIVATED managed")
        started = [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", output)]
        assert len(started) == 1
        assert is_running(started[0])
        os.killpg(launch.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        rest, _ = launch.communicate(timeout=20)
    finally:
        launch.kill()
    assert launch.returncode == 0, rest
    assert "STOPPED" in rest
    assert not is_running(started[0])
