"""Stand-in for ROS 2's `launch`, the subset that this project uses: same names, same behavior.

Only on sys.path where ROS 2 comes from wheels, and at its end: the official package wins wherever it exists.
A launch description is a list of entities. Visiting one does its work and yields more entities; events call handlers,
which yield more entities still; the service ends when no process, timer or event is left.
"""

from launch import actions, conditions, event_handlers, events, substitutions
from launch.action import Action
from launch.condition import Condition
from launch.event import Event
from launch.event_handler import EventHandler
from launch.launch_context import LaunchContext
from launch.launch_description import LaunchDescription
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_service import LaunchService
from launch.substitution import SomeSubstitutionsType, Substitution

__all__ = [
    "Action",
    "Condition",
    "Event",
    "EventHandler",
    "LaunchContext",
    "LaunchDescription",
    "LaunchDescriptionEntity",
    "LaunchService",
    "SomeSubstitutionsType",
    "Substitution",
    "actions",
    "conditions",
    "event_handlers",
    "events",
    "substitutions",
]
