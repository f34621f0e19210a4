"""The substitution that this project's launch files use."""

from __future__ import annotations

import os

from launch.core import LaunchContext, Substitution, Text


class PathJoinSubstitution(Substitution):
    def __init__(self, substitutions: list[Text]) -> None:
        self.substitutions = substitutions

    def perform(self, context: LaunchContext) -> str:
        return os.path.join(*(context.perform(part) for part in self.substitutions))  # noqa: PTH118
