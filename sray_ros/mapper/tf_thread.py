"""TfThread: TF is heard by a node and a thread of its own, as tf2's C++ listener does it.

One wait of rclpy's executors takes one message of each subscription, and costs the more the more entities the node has:
heard by the mapper's own node, TF of hundreds of messages a second lags behind the pictures whose poses it brings.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from threading import Thread

import tf2_ros
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from sray_ros.common.conversions import nanoseconds
from sray_ros.mapper.declarations import TF, TF_STATIC

CACHE_NS = 10 * 10**9
"""What tf2's buffers keep, and no older transform is taken in."""


class _Listener(tf2_ros.TransformListener):
    """Clears the buffer when a frame's stamps jump back by more than it keeps, as a bag's do that starts again.

    Who clears it for another reason, on another thread, cannot know what of the time before is still unread: one such
    transform, taken in afterwards, would keep out all that follow.
    """

    def __init__(self, buffer: tf2_ros.Buffer, node: Node) -> None:
        self._last_ns: dict[str, int] = {}
        super().__init__(buffer, node)

    def callback(self, data: TFMessage) -> None:
        for transform in data.transforms:
            frame, stamp_ns = transform.child_frame_id, nanoseconds(transform.header.stamp)
            if stamp_ns < self._last_ns.get(frame, stamp_ns) - CACHE_NS:
                self.buffer.clear()
                self._last_ns.clear()
            self._last_ns[frame] = stamp_ns
        super().callback(data)


class TfThread:
    """Fills a buffer from TF, under the names that TF has for `node`, until closed."""

    def __init__(self, buffer: tf2_ros.Buffer, node: Node, on_error: Callable[[Exception], None]) -> None:
        """`on_error`: told, on this thread, of a message that cannot be taken in; those after it are."""
        names = [f"{topic.name}:={node.resolve_topic_name(topic.name)}" for topic in (TF, TF_STATIC)]
        self._on_error = on_error
        self._is_closed = False
        self._node = Node(
            f"_{node.get_name()}_tf",  # hidden from `ros2 node list`: there is nothing about it to use
            context=node.context, namespace=node.get_namespace(), use_global_arguments=False,
            cli_args=["--ros-args", *(word for name in names for word in ("-r", name))],
            start_parameter_services=False, enable_rosout=False,
        )  # fmt: skip
        with ExitStack() as undo:
            undo.callback(self._node.destroy_node)
            self._listener = _Listener(buffer, self._node)
            undo.callback(self._listener.unregister)
            self._executor = SingleThreadedExecutor(context=node.context)
            undo.callback(self._executor.shutdown)
            self._executor.add_node(self._node)
            self._thread = Thread(target=self._spin, name="tf")
            self._thread.start()
            undo.callback(self._stop)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Nothing is heard afterwards."""
        self._undo.close()

    def _stop(self) -> None:
        """End the thread, then the executor: shut down first, it may leave a wait that nothing ends (rclpy 9.1)."""
        self._is_closed = True
        self._executor.create_task(lambda: None)  # a mere wake() does not end a spin_once
        self._thread.join()

    def _spin(self) -> None:
        while not self._is_closed and self._node.context.ok():
            self._spin_once()

    def _spin_once(self) -> None:
        try:
            self._executor.spin_once()
        except ExternalShutdownException:
            pass
        except Exception as error:
            if self._node.context.ok():
                self._on_error(error)
