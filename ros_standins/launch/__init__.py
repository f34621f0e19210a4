"""Stand-in for ROS 2's `launch`, the subset that this project uses: same names, same behavior.

Only on sys.path where ROS 2 comes from wheels, and at its end: the official package wins wherever it exists.
A launch description is a list of actions. Executing one does its work and returns more actions; events call handlers,
which return more actions still; the service ends when no process or event is left.
"""

from launch.core import Action, Event, EventHandler, LaunchContext, LaunchDescription, Substitution
from launch.launch_service import LaunchService

__all__ = ["Action", "Event", "EventHandler", "LaunchContext", "LaunchDescription", "LaunchService", "Substitution"]
