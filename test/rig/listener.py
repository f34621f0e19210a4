"""For tests of ROS nodes: a private DDS domain, nodes as separate processes, and a listener in the test's own."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rclpy
from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from ros_processes import Domain

WORK = 0.02
"""Seconds of processor time that tell how busy the machine is."""


class Listener:
    """A node in this process, on a domain of its own, that keeps what it hears."""

    def __init__(self) -> None:
        self._reserved = Domain()
        self.domain = self._reserved.number
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.node = Node("test_listener", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._processes: list[subprocess.Popen[str]] = []

    def hear(self, message_type: type, topic: str, qos: QoSProfile | int = 100) -> list[Any]:
        heard: list[Any] = []
        self.node.create_subscription(message_type, topic, heard.append, qos)
        return heard

    def start(self, module: str, *ros_args: str, **parameters: Any) -> subprocess.Popen[str]:
        """Run `python -m module` with ROS parameters."""
        given = [part for name, value in parameters.items() for part in ("-p", f"{name}:={value}")]
        return self.run(sys.executable, "-m", module, "--ros-args", *ros_args, *given)

    def run(self, *command: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Any command, on this listener's domain, with its output piped; `options`: others, of Popen."""
        piped = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = self.environment | options.pop("env", {})
        process: subprocess.Popen[str] = subprocess.Popen(command, env=environment, **(piped | options))
        self._processes.append(process)
        return process

    @property
    def environment(self) -> dict[str, str]:
        """This process's, on this listener's domain."""
        return self._reserved.environment() | {"OMP_NUM_THREADS": "1"}

    def client(self, kind: type, service: str, **options: Any) -> Client:
        """Of a service `<node>/<name>`, once its server knows us.

        A server may take a request before it knows where the reply goes, and then the reply is lost. What we announce
        it learns in order: who answers a client made later knows this one.
        """
        client = self.node.create_client(kind, service, **options)
        assert self.until(client.service_is_ready), f"no {service}"
        self.meet(service.rpartition("/")[0])
        return client

    def meet(self, node: str) -> None:
        """Until a node knows all that we announced so far."""
        probe = self.node.create_client(GetParameters, f"{node}/get_parameters")
        try:
            assert self.until(probe.service_is_ready), f"no {node}"
            asked = []
            for _ in range(30):
                asked.append(probe.call_async(GetParameters.Request()))
                if self.until(lambda: any(future.done() for future in asked), 2):
                    return
            ended = [process.poll() for process in self._processes]
            raise AssertionError(f"{node} never answers; exit statuses of what runs here (None: it runs): {ended}")
        finally:
            self.node.destroy_client(probe)

    def call(self, client: Client, request: Any, seconds: float = 60) -> Any:
        """The response."""
        future = client.call_async(request)
        assert self.until(future.done, seconds), f"no answer from {client.srv_name}"
        return future.result()

    def ask(self, kind: type, service: str, request: Any, seconds: float = 60) -> Any:
        """The response to one request."""
        client = self.client(kind, service)
        try:
            return self.call(client, request, seconds)
        finally:
            self.node.destroy_client(client)

    def until(self, condition: Callable[[], object], seconds: float = 60) -> bool:
        """Spin until the condition holds; False if it did not within the time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def finish(self, process: subprocess.Popen[str], seconds: float = 60) -> tuple[int | None, str]:
        """Spin until the process has ended: its exit status (None: it did not end) and all it wrote."""
        self.until(lambda: process.poll() is not None, seconds)
        if process.poll() is None:
            process.kill()
            out, err = process.communicate()
            return None, out + err
        out, err = process.communicate()
        return process.returncode, out + err

    def end(self, process: subprocess.Popen[str], how: signal.Signals, within: float = 20.0) -> str:
        """All that it wrote, having ended in order, in so many seconds of a processor that nobody else wants."""
        since, slow = time.monotonic(), [slowdown()]
        process.send_signal(how)
        while not self.until(lambda: process.poll() is not None, 0.2) and time.monotonic() < since + 60:
            slow.append(slowdown())
        taken = time.monotonic() - since
        status, output = self.finish(process)
        assert status == (-signal.SIGKILL if how is signal.SIGKILL else 0), output
        assert "Traceback" not in output, output
        assert taken < within * statistics.fmean(slow), f"{taken:.1f} s, {slow} times as slow\n{output}"
        return output

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            with process:  # until it has ended; its pipes are closed then
                pass
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)
        self._reserved.close()


def slowdown() -> float:
    """How many times longer work takes now than it would alone on the machine, at least 1."""
    since, worked = time.monotonic(), time.thread_time()
    while time.thread_time() - worked < WORK:
        pass
    return max(1.0, (time.monotonic() - since) / WORK)


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    listener = Listener()
    try:
        yield listener
    finally:
        listener.close()
