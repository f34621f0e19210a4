"""Nodes and lifecycle nodes."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import lifecycle_msgs.msg
import lifecycle_msgs.srv
from ament_index_python.packages import get_package_prefix
from launch import EventHandler, LaunchContext
from launch.actions import ExecuteProcess
from launch.core import Text, log
from launch_ros.events.lifecycle import ChangeState, StateTransition
from launch_ros.parameter_descriptions import parameter_file
from launch_ros.ros_adapters import get_ros_node
from rclpy.client import Client

POLL = 0.05
"""Seconds between two looks at a service or a reply."""


class Node(ExecuteProcess):
    """A ROS node: an executable of a package, with name, namespace, parameters and remappings."""

    def __init__(
        self,
        *,
        package: str,
        executable: str,
        name: str,
        namespace: str,
        parameters: Iterable[Text | Mapping[str, Any]] = (),
        remappings: Iterable[tuple[str, str]] = (),
        ros_arguments: Iterable[str] = (),
        arguments: Iterable[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(cmd=[], **kwargs)
        self._package, self._executable = package, executable
        self._name, self._namespace = name, f"/{namespace.strip('/')}" if namespace else ""
        self._parameters, self._remappings = list(parameters), list(remappings)
        self._arguments, self._ros_arguments = list(arguments), list(ros_arguments)
        self.node_name = f"{self._namespace.rstrip('/')}/{name}"
        """Fully qualified."""

    def execute(self, context: LaunchContext) -> None:
        ros = [*self._ros_arguments, "-r", f"__node:={self._name}"]
        ros += ["-r", f"__ns:={self._namespace}"] if self._namespace else []
        for parameters in self._parameters:
            ros += ["--params-file", parameter_file(context, parameters)]
        for old, new in self._remappings:
            ros += ["-r", f"{old}:={new}"]
        folder = Path(get_package_prefix(self._package)) / "lib" / self._package
        if not (folder / self._executable).exists():
            raise FileNotFoundError(f"executable '{self._executable}' not found on the libexec directory '{folder}'")
        self.cmd = [folder / self._executable, *self._arguments, "--ros-args", *ros]
        super().execute(context)


class LifecycleNode(Node):
    """A managed node: its state changes become events, and ChangeState events become requests to it."""

    def execute(self, context: LaunchContext) -> None:
        super().execute(context)
        if context.is_shutdown:
            return
        loop = context.asyncio_loop
        node = get_ros_node(context)

        def on_transition(message: lifecycle_msgs.msg.TransitionEvent) -> None:
            event = StateTransition(action=self, msg=message)
            loop.call_soon_threadsafe(context.emit_event_sync, event)

        topic = f"{self.node_name}/transition_event"
        node.create_subscription(lifecycle_msgs.msg.TransitionEvent, topic, on_transition, 10)

        def told() -> bool:
            return bool(node.count_publishers(topic))

        change = node.create_client(lifecycle_msgs.srv.ChangeState, f"{self.node_name}/change_state")
        # Made after the other: who answers it knows where the other's replies go.
        get = node.create_client(lifecycle_msgs.srv.GetState, f"{self.node_name}/get_state")

        async def transition(event: ChangeState, context: LaunchContext) -> None:
            await self._change(context, change, get, event.transition_id, told)

        context.register_event_handler(
            EventHandler(
                matcher=lambda event: isinstance(event, ChangeState) and event.lifecycle_node_matcher(self),
                entities=lambda event, context: context.keep_alive(transition(event, context)) and None,
            )
        )

    async def _change(
        self, context: LaunchContext, change: Client, get: Client, transition_id: int, told: Callable[[], bool]
    ) -> None:
        """Ask for a transition, once its event can be `told` here; give up when the node or the launch ends.

        A node that has not discovered us yet loses its replies: it is asked for its state until it answers.
        """
        await asyncio.sleep(POLL)  # a process started by the same event may not be there yet

        def given_up() -> bool:
            return context.is_shutdown or self.running is None

        async def until(condition: Callable[[], bool], seconds: float = math.inf) -> bool:
            deadline = time.monotonic() + seconds
            while not condition() and time.monotonic() < deadline and not given_up():
                await asyncio.sleep(POLL)
            return condition()

        await until(lambda: change.service_is_ready() and get.service_is_ready() and told())
        asked = []
        while not any(reply.done() for reply in asked):
            if given_up():
                return
            asked.append(get.call_async(lifecycle_msgs.srv.GetState.Request()))
            await until(lambda: any(reply.done() for reply in asked), 1)
        request = lifecycle_msgs.srv.ChangeState.Request()
        request.transition.id = transition_id
        reply = change.call_async(request)
        if await until(reply.done) and not reply.result().success:
            log("ERROR", "launch_ros", f"Failed to make transition {transition_id} for {self.node_name}")
