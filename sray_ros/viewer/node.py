"""The viewer node: what a mapper maps, and what a camera anywhere would see, in a browser.

It needs nothing but the mapper's topics, services and actions, so it may run on another machine than the robot.
"""

from __future__ import annotations

import sys
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from sray.crash import ends_in_one_line
from sray.errors import SrayError
from sray.viewing.extra import import_viser
from sray.viewing.viewer import Viewer
from sray_ros.common.signals import init_until_signaled
from sray_ros.viewer.parameters import ViewerParameters, ViewerSettings
from sray_ros.viewer.source import MapperSource


class ViewerNode(Node):
    """Wiring: the parameters, the mapper as a source, the page."""

    def __init__(self) -> None:
        super().__init__("viewer")
        settings = ViewerParameters(self, ViewerSettings).now
        import_viser()  # before anything is begun: without it there is nothing to do
        mapper = settings.mapper
        if not mapper.startswith("/"):
            mapper = f"{self.get_namespace().rstrip('/')}/{mapper}"
        self._source = MapperSource(self, mapper)
        try:
            self._viewer = Viewer(self._source, settings.host, settings.port)
        except BaseException:
            self._source.close()
            raise
        self.get_logger().info(f"look around in {mapper}: {self._viewer.address}")

    def close(self) -> None:
        """End the page. Call before destroy_node, while the node is no longer spun."""
        self._viewer.close()
        self._source.close()


@ends_in_one_line("viewer")
def main(args: list[str] | None = None) -> int:
    """Spin until SIGINT or SIGTERM; 0 then, 1 if the node cannot start."""
    stop = init_until_signaled(args)
    node: Any = None
    try:
        node = ViewerNode()
        with SingleThreadedExecutor() as executor:
            executor.add_node(node)
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.1)
    except Exception as error:
        if node is not None or isinstance(error, SrayError):
            raise
        print(f"viewer cannot start: {error}", file=sys.stderr)  # a parameter that rclpy refuses
        return 1
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
