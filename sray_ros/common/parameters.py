"""Parameters of a node from one list: declared, checked, refused by name; and documented from it (docs/ros_api.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

Value = bool | int | float | str

AT_ONCE, ON_ACTIVATE, ON_CONFIGURE = "at once", "when next activated", "when next configured"
NEVER = "never: it is fixed when the node starts"


@dataclass(frozen=True)
class NodeParameter:
    """One parameter: its default says its type."""

    name: str
    default: Value
    text: str
    within: tuple[float, float] | None = None
    """Least and greatest value, both allowed."""
    choices: tuple[str, ...] = ()
    applies: str = AT_ONCE
    """When a change takes effect."""
    check: Callable[[Any], str | None] = lambda value: None
    """What else may be wrong with a value: what was expected; None if nothing is."""

    @property
    def choices_in_words(self) -> str:
        return ", ".join(choice or "''" for choice in self.choices)

    def complaint(self, value: Any) -> str | None:
        """What is wrong with a value: the parameter, the value, what was expected. None if nothing is."""
        if self.choices and value not in self.choices:
            return f"{self.name} is {value!r}; expected one of {self.choices_in_words}"
        if self.within is not None and not self.within[0] <= value <= self.within[1]:  # NaN fails this too
            return f"{self.name} is {value}; expected {self.within[0]:g} to {self.within[1]:g}"
        if expected := self.check(value):
            return f"{self.name} is {value!r}; expected {expected}"
        return None

    def descriptor(self) -> ParameterDescriptor:
        """For `ros2 param describe`. Ranges are shown; refusing is the callback's, in words that name the parameter."""
        descriptor = ParameterDescriptor(
            description=f"{self.text} (a change applies {self.applies})", read_only=self.applies == NEVER
        )
        if self.choices:
            descriptor.additional_constraints = f"one of: {self.choices_in_words}"
        if self.within is not None and isinstance(self.default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=self.within[0], to_value=self.within[1])]
        elif self.within is not None:
            bounds = (int(bound) for bound in self.within)
            descriptor.integer_range = [IntegerRange(from_value=next(bounds), to_value=next(bounds), step=1)]
        return descriptor


class NodeParameters:
    """The declared parameters of a node, as values."""

    def __init__(
        self,
        node: Node,
        declared: Iterable[NodeParameter],
        complaint_about: Callable[[Mapping[str, Value]], str | None] = lambda values: None,
    ) -> None:
        """Declares them all. Raises rclpy's InvalidParameterValueException for a bad override.

        `complaint_about`: what is wrong with values that are each in range but do not go together, which raises
        ValueError; None if nothing is.
        """
        self._by_name = {parameter.name: parameter for parameter in declared}
        self._values: dict[str, Value] = {name: parameter.default for name, parameter in self._by_name.items()}
        self._complaint_about = complaint_about
        self.revision = 0
        """Counts changes."""
        self._is_complete = False
        node.add_on_set_parameters_callback(self._check)
        for parameter in self._by_name.values():
            node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())
        self._is_complete = True
        if complaint := complaint_about(self._values):
            raise ValueError(complaint)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def _check(self, parameters: Iterable[Parameter]) -> SetParametersResult:
        wanted = {parameter.name: parameter.value for parameter in parameters if parameter.name in self._values}
        complaints = [text for name, value in wanted.items() if (text := self._by_name[name].complaint(value))]
        values = {**self._values, **wanted}
        # While declaring, overrides arrive one by one: what they mean together is looked at when all are there.
        if not complaints and self._is_complete and (complaint := self._complaint_about(values)):
            complaints.append(complaint)
        if complaints:
            return SetParametersResult(successful=False, reason="; ".join(complaints))
        self._values = values
        self.revision += 1
        return SetParametersResult(successful=True)
