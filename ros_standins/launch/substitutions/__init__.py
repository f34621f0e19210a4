"""The substitutions that this project's launch files use."""

from __future__ import annotations

import math
import os

from launch.launch_context import LaunchContext
from launch.substitution import SomeSubstitutionsType, Substitution

__all__ = [
    "EnvironmentVariable",
    "LaunchConfiguration",
    "PathJoinSubstitution",
    "PythonExpression",
    "SubstitutionFailure",
    "TextSubstitution",
]


class SubstitutionFailure(Exception):
    """A substitution has no value."""


class TextSubstitution(Substitution):
    def __init__(self, *, text: str) -> None:
        self.text = text

    def perform(self, context: LaunchContext) -> str:
        return self.text


class LaunchConfiguration(Substitution):
    """The value of a launch argument, or of anything set in the launch context."""

    def __init__(self, variable_name: str, *, default: SomeSubstitutionsType | None = None) -> None:
        self.variable_name = variable_name
        self.default = default

    def perform(self, context: LaunchContext) -> str:
        if self.variable_name in context.launch_configurations:
            return context.launch_configurations[self.variable_name]
        if self.default is None:
            raise SubstitutionFailure(f"launch configuration '{self.variable_name}' does not exist")
        return context.perform_substitutions(self.default)


class EnvironmentVariable(Substitution):
    def __init__(self, name: str, *, default_value: SomeSubstitutionsType | None = None) -> None:
        self.name = name
        self.default_value = default_value

    def perform(self, context: LaunchContext) -> str:
        if self.name in context.environment:
            return context.environment[self.name]
        if self.default_value is None:
            raise SubstitutionFailure(f"environment variable '{self.name}' does not exist")
        return context.perform_substitutions(self.default_value)


class PathJoinSubstitution(Substitution):
    def __init__(self, substitutions: list[SomeSubstitutionsType]) -> None:
        self.substitutions = substitutions

    def perform(self, context: LaunchContext) -> str:
        return os.path.join(*(context.perform_substitutions(part) for part in self.substitutions))  # noqa: PTH118


class PythonExpression(Substitution):
    """The value of a Python expression, which sees `math` and nothing else, as text."""

    def __init__(self, expression: SomeSubstitutionsType) -> None:
        self.expression = expression

    def perform(self, context: LaunchContext) -> str:
        return str(eval(context.perform_substitutions(self.expression), {}, vars(math)))
