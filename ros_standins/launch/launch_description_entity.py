"""What a launch description consists of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class LaunchDescriptionEntity:
    def visit(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity] | None:
        """Do the entity's work; what is returned is visited next."""
        raise NotImplementedError

    def describe_sub_entities(self) -> Iterable[LaunchDescriptionEntity]:
        """Entities inside this one, known before anything runs: `--show-args` looks through them."""
        return []
