"""TfThread: receives TF with a node and a thread of its own, as tf2's C++ listener does.

One wait of rclpy's executors takes one message of each subscription, and costs the more the more entities the node has:
heard by the mapper's own node, TF of hundreds of messages a second lags behind the pictures whose poses it brings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from threading import Lock, Thread

import tf2_ros
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from sray_ros.common.tf_restarts import Restart, TfRestarts
from sray_ros.common.topics import TF, TF_STATIC


class _Listener(tf2_ros.TransformListener):
    """Clears the buffer when TF starts again (`tf_restarts`), and says so."""

    def __init__(
        self,
        buffer: tf2_ros.Buffer,
        node: Node,
        restarts: TfRestarts,
        on_restart: Callable[[str], None],
        on_oddity: Callable[[str], None],
    ) -> None:
        self._restarts = restarts
        self._on_restart = on_restart
        self._on_oddity = on_oddity
        self._lock = Lock()
        super().__init__(buffer, node)

    def callback(self, data: TFMessage) -> None:
        with self._lock:
            for transform in data.transforms:
                self._begin_anew(self._restarts.look(transform))
                if oddity := self._restarts.oddity(transform):
                    self._on_oddity(oddity)
            super().callback(data)

    def static_callback(self, data: TFMessage) -> None:
        with self._lock:
            for transform in data.transforms:
                self._restarts.parent(transform)
        super().static_callback(data)

    def witness(self, new_ns: int, jump_ns: int, clears: bool) -> None:
        with self._lock:
            restart = self._restarts.witness(new_ns, jump_ns)
            if restart is None and clears:
                self.buffer.clear()
            self._begin_anew(restart)

    def _begin_anew(self, restart: Restart | None) -> None:
        if restart is None:
            return
        self.buffer.clear()
        for transform in restart.again:
            self.buffer.set_transform(transform, "default_authority")
        self._on_restart(restart.why)


class TfThread:
    """Fills a buffer from TF, under the names that TF has for `node`, until closed."""

    def __init__(
        self,
        buffer: tf2_ros.Buffer,
        node: Node,
        on_error: Callable[[Exception], None],
        used: Callable[[], Iterable[str]],
        on_restart: Callable[[str], None] = lambda why: None,
        on_oddity: Callable[[str], None] = lambda what: None,
    ) -> None:
        """`used`: the frames whose poses are asked for.

        Told on this thread: `on_error` of a message that cannot be taken in (those after it are), `on_restart` why TF
        was forgotten, `on_oddity` of a stamp that was left out of account.
        """
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
            self._listener = _Listener(buffer, self._node, TfRestarts(used), on_restart, on_oddity)
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

    def time_went_back(self, new_ns: int, jump_ns: int, *, is_clock: bool) -> None:
        """By `jump_ns` to `new_ns`, as the clock or the camera says. Any thread.

        The clock is everybody's: TF is forgotten. The camera is one witness: TF is forgotten as soon as a frame that
        poses depend on has gone back too.
        """
        self._listener.witness(new_ns, jump_ns, is_clock)

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
