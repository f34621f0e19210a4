"""Events of nodes."""

from launch_ros.events import lifecycle

__all__ = ["lifecycle"]
