"""The launch's own ROS node, which exists only if a lifecycle node needs it."""

from __future__ import annotations

import contextlib
import os
import threading

import rclpy
from launch import LaunchContext
from launch.event_handlers import OnShutdown
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


def get_ros_node(context: LaunchContext) -> Node:
    """One node per launch, spun in a thread; both end with the launch."""
    node = getattr(context, "ros_node", None)
    if node is None:
        node = context.ros_node = start(context)
        context.is_ros_running = True
    return node


def start(context: LaunchContext) -> Node:
    ros_context = rclpy.Context()
    # No arguments: those of `ros2 launch` look like remappings, and are not for this node.
    rclpy.init(args=[], context=ros_context, signal_handler_options=SignalHandlerOptions.NO)
    node = Node(f"launch_ros_{os.getpid()}", context=ros_context, use_global_arguments=False)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, name="launch_ros")
    thread.start()

    def stop() -> None:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        ros_context.try_shutdown()

    context.at_end.callback(stop)
    context.register_event_handler(OnShutdown(on_shutdown=lambda *_: refuse_a_second(context)))
    return node


def refuse_a_second(context: LaunchContext) -> None:
    """The official adapter ends at the first Shutdown, and raises at another."""
    if not context.is_ros_running:
        raise RuntimeError("Cannot shutdown a ROS adapter that is not running")
    context.is_ros_running = False
