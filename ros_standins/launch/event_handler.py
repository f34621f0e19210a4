"""What to do when an event happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from launch.event import Event
from launch.launch_description_entity import LaunchDescriptionEntity

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

SomeEntities = LaunchDescriptionEntity | Iterable[LaunchDescriptionEntity] | None


class EventHandler:
    """`entities` may also be a function of the event and the context that returns entities."""

    def __init__(
        self,
        *,
        matcher: Callable[[Event], bool],
        entities: SomeEntities | Callable[[Event, LaunchContext], SomeEntities] = None,
        handle_once: bool = False,
    ) -> None:
        self.matcher = matcher
        self._entities = entities
        self.handle_once = handle_once

    def matches(self, event: Event) -> bool:
        return self.matcher(event)

    def handle(self, event: Event, context: LaunchContext) -> Iterable[LaunchDescriptionEntity]:
        if self.handle_once:
            context.unregister_event_handler(self)
        found = self._entities(event, context) if callable(self._entities) else self._entities
        if found is None:
            return []
        return [found] if isinstance(found, LaunchDescriptionEntity) else found
