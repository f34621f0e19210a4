"""TfThread: TF is heard by a node and a thread of its own, as tf2's C++ listener does it.

One wait of rclpy's executors takes one message of each subscription, and costs the more the more entities the node has:
heard by the mapper's own node, TF of hundreds of messages a second lags behind the pictures whose poses it brings.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import tf2_ros
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from sray_ros.declarations import TF, TF_STATIC


class TfThread:
    """Fills a buffer from TF, under the names that TF has for `node`, until closed."""

    def __init__(self, buffer: tf2_ros.Buffer, node: Node, on_error: Callable[[Exception], None]) -> None:
        """`on_error`: told, on this thread, of a message that cannot be taken in; those after it are."""
        names = [f"{topic.name}:={node.resolve_topic_name(topic.name)}" for topic in (TF, TF_STATIC)]
        self._node = Node(
            f"_{node.get_name()}_tf",  # hidden from `ros2 node list`: there is nothing about it to use
            context=node.context, namespace=node.get_namespace(), use_global_arguments=False,
            cli_args=["--ros-args", *(word for name in names for word in ("-r", name))],
            start_parameter_services=False, enable_rosout=False,
        )  # fmt: skip
        self._listener = tf2_ros.TransformListener(buffer, self._node)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._node)
        self._on_error = on_error
        self._is_closed = False
        self._thread = Thread(target=self._spin, name="tf")
        self._thread.start()

    def close(self) -> None:
        """Nothing is heard afterwards."""
        self._is_closed = True
        self._executor.shutdown()
        self._thread.join()
        self._listener.unregister()
        self._node.destroy_node()

    def _spin(self) -> None:
        while not self._is_closed and self._node.context.ok():
            self._spin_once()

    def _spin_once(self) -> None:
        try:
            self._executor.spin_once()
        except ExternalShutdownException:
            pass
        except Exception as error:
            if not self._is_closed:  # else the executor was shut down in the midst of a wait
                self._on_error(error)
