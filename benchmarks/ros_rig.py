"""For benchmarks of the node: the real one in a process of its own, over DDS, driven and watched from this process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from measuring import REPOSITORY
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

sys.path.append(str(REPOSITORY / "scripts"))  # the demos' way with processes is the benchmarks' too
from ros_processes import Domain, Processes

MAPPER = "semantic_mapper"
MODULES = {MAPPER: "sray_ros.mapper.node", "sequence_player": "sray_ros.player.node"}
"""What is run for a node."""


class Rig:
    """A node of our own, spun by a thread, and the processes it started. Use as a context: leaving it ends them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._domain = Domain()
        os.environ |= self._domain.environment()  # read by the middleware when the first node is made
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._processes = Processes(logs, {**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
        self.log = self._processes.log
        self.facts: dict[str, str] = {}
        """What the mapper last said about its work on /diagnostics."""
        self.facts_count = 0
        rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
        self.node = Node("benchmark")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._over = threading.Event()
        self._spinning = threading.Thread(target=self._spin, name="spinning")
        self._spinning.start()

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.stop_all()
        self._over.set()
        self._spinning.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()
        self._domain.close()

    def start(self, node: str, *ros_arguments: str, **parameters: Any) -> subprocess.Popen[bytes]:
        """A node of this checkout (two underscores in a parameter's name: a dot)."""
        command = [sys.executable, "-m", MODULES[node], "--ros-args", *ros_arguments]
        for name, value in parameters.items():
            command += ["-p", f"{name.replace('__', '.')}:={str(value).lower() if isinstance(value, bool) else value}"]
        return self._processes.start(node, *command)

    def end(self, node: str) -> int | None:
        """Ask a process to end; its exit status."""
        return self._processes.stop(node)

    def start_mapper(self, *ros_arguments: str, **parameters: Any) -> subprocess.Popen[bytes]:
        """The mapper, configured and active."""
        process = self.start(MAPPER, *ros_arguments, **parameters)
        change = self.node.create_client(ChangeState, f"/{MAPPER}/change_state")
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            if not self.call(change, ChangeState.Request(transition=Transition(id=transition)), 120).success:
                raise SystemExit(f"error: the mapper did not start; see {self.log(MAPPER)}")
        self.node.destroy_client(change)
        return process

    def set(self, **values: Any) -> str:
        """Set the mapper's parameters together; "" or why it refused."""
        client = self.node.create_client(SetParametersAtomically, f"/{MAPPER}/set_parameters_atomically")
        wanted = [Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()]
        result = self.call(client, SetParametersAtomically.Request(parameters=wanted)).result
        self.node.destroy_client(client)
        return "" if result.successful else str(result.reason)

    def call(self, client: Any, request: Any, seconds: float = 60) -> Any:
        """A service's answer. Raises SystemExit if there is none in time."""
        done = threading.Event()
        self.until(client.service_is_ready, seconds, f"{client.srv_name} coming up")
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(seconds):
            raise SystemExit(f"error: {client.srv_name} did not answer in {seconds:.0f} s; see {self._logs}")
        return future.result()

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Wait. Raises SystemExit, saying what was waited for, or which process has ended."""
        deadline = time.monotonic() + seconds
        while not condition():
            if ended := self._processes.ended():
                raise SystemExit(f"error: {ended[0]} has ended; see {self.log(ended[0])}")
            if time.monotonic() > deadline:
                raise SystemExit(f"error: {what} did not happen in {seconds:.0f} s; see {self._logs}")
            time.sleep(0.02)

    def fresh_facts(self) -> dict[str, str]:
        """The next report of the mapper on its work."""
        before = self.facts_count
        self.until(lambda: self.facts_count > before, 30, "a report on /diagnostics")
        return self.facts

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == f"{MAPPER}: work":
                self.facts = {entry.key: entry.value for entry in status.values}
                self.facts_count += 1

    def _spin(self) -> None:
        while not self._over.is_set():
            self._executor.spin_once(timeout_sec=0.1)
