"""A list of entities, in the order in which they are visited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from launch.launch_description_entity import LaunchDescriptionEntity

if TYPE_CHECKING:
    from launch.actions import DeclareLaunchArgument
    from launch.launch_context import LaunchContext


class LaunchDescription(LaunchDescriptionEntity):
    def __init__(self, initial_entities: Iterable[LaunchDescriptionEntity] | None = None) -> None:
        self.entities = list(initial_entities or [])

    def add_action(self, action: LaunchDescriptionEntity) -> None:
        self.entities.append(action)

    def visit(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity]:
        return self.entities

    def describe_sub_entities(self) -> Iterable[LaunchDescriptionEntity]:
        return self.entities

    def get_launch_arguments(self) -> list[DeclareLaunchArgument]:
        """The declared arguments, in order, each name once."""
        from launch.actions import DeclareLaunchArgument

        found: dict[str, DeclareLaunchArgument] = {}

        def search(entities: Iterable[LaunchDescriptionEntity]) -> None:
            for entity in entities:
                if isinstance(entity, DeclareLaunchArgument):
                    found.setdefault(entity.name, entity)
                search(entity.describe_sub_entities())

        search(self.entities)
        return list(found.values())
