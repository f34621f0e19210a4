"""An argument of a launch file: name, default, sentence, choices."""

from __future__ import annotations

from collections.abc import Iterable

from launch.action import Action
from launch.launch_context import LaunchContext
from launch.substitution import SomeSubstitutionsType


class DeclareLaunchArgument(Action):
    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: Iterable[str] | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.default_value = default_value
        self.choices = None if choices is None else list(choices)
        self.description = description or "no description given"
        if self.choices is not None:
            self.description += f". Valid choices are: {self.choices}"
            if isinstance(default_value, str) and default_value not in self.choices:
                raise ValueError(f"default '{default_value}' of argument '{name}' is not one of {self.choices}")

    def execute(self, context: LaunchContext) -> None:
        """Raises RuntimeError if the argument is required and missing, or not one of the choices."""
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(f"missing required argument '{self.name}' ({self.description})")
            context.launch_configurations[self.name] = context.perform_substitutions(self.default_value)
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            raise RuntimeError(f"Argument '{self.name}' is '{value}'. Valid choices are: {self.choices}")
