"""Parameters of a node, declared once as a dataclass: read as typed snapshots, checked, refused and documented from it.

A field made by `parameter` is one parameter. Any other field is a group: its default is a dataclass of parameters, and
they are named after it. The field `capacity` of the group `keyframes` is the parameter keyframes.capacity.

    @dataclass(frozen=True)
    class Settings:
        rate: float = parameter(1.0, "how many times faster than recorded", within=(0.001, 1000.0))

    settings = NodeParameters(node, Settings)
    settings.now.rate
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

T = TypeVar("T")
Value = bool | int | float | str

AT_ONCE, ON_ACTIVATE, ON_CONFIGURE = "at once", "when next activated", "when next configured"
NEVER = "never: it is fixed when the node starts"


@dataclass(frozen=True)
class NodeParameter:
    """One declared parameter. The type of its default is its type."""

    default: Value
    text: str
    within: tuple[float, float] | None = None
    """Least and greatest value, both allowed."""
    choices: tuple[str, ...] = ()
    applies: str = AT_ONCE
    """When a change takes effect."""
    check: Callable[[Any], str | None] = lambda value: None
    """A further check of a value: returns what was expected, or None if the value is good."""
    name: str = ""
    """With the names of its groups before it: keyframes.capacity."""

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
        """For `ros2 param describe`. rclpy refuses what is out of range, `NodeParameters` what is wrong otherwise."""
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


def parameter(
    default: Value,
    text: str,
    within: tuple[float, float] | None = None,
    *,
    choices: tuple[str, ...] = (),
    applies: str = AT_ONCE,
    check: Callable[[Any], str | None] = lambda value: None,
) -> Any:
    """A dataclass field that is one parameter; the arguments are those of `NodeParameter`."""
    declared = NodeParameter(default, text, within, choices, applies, check)
    return field(default=default, metadata={"parameter": declared})


def declared_in(kind: type, prefix: str = "") -> Iterator[NodeParameter]:
    """All parameters of a dataclass and of its groups, with their full names, in the order of declaration."""
    for each in fields(kind):
        if declared := each.metadata.get("parameter"):
            yield replace(declared, name=prefix + each.name)
        else:
            yield from declared_in(_group(each), f"{prefix}{each.name}.")


def snapshot(kind: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """A dataclass from values by their full names; what is not among them has its default.

    Raises ValueError, as the dataclass does, for values that do not go together.
    """
    given: dict[str, Any] = {}
    for each in fields(kind):  # type: ignore[arg-type]
        name = prefix + each.name
        if "parameter" not in each.metadata:
            given[each.name] = snapshot(_group(each), values, f"{name}.")
        elif name in values:
            given[each.name] = values[name]
    return kind(**given)


def _group(each: Field[Any]) -> type:
    """The dataclass of a field that is a group."""
    kind: Any = each.default_factory
    assert isinstance(kind, type), f"{each.name} is neither a parameter nor a group of parameters"
    return kind


class NodeParameters(Generic[T]):
    """The parameters of a node, declared from the dataclass `kind`."""

    def __init__(self, node: Node, kind: type[T]) -> None:
        """Declares them all.

        Raises rclpy's InvalidParameterValueException for an override that is refused, and ValueError for overrides that
        are each in range but do not go together.
        """
        self._kind = kind
        self._by_name = {declared.name: declared for declared in declared_in(kind)}
        self._values: dict[str, Value] = {name: declared.default for name, declared in self._by_name.items()}
        self._now: T | None = None
        node.add_on_set_parameters_callback(self._check)
        for declared in self._by_name.values():
            node.declare_parameter(declared.name, declared.default, declared.descriptor())
        self._now = snapshot(kind, self._values)

    @property
    def now(self) -> T:
        """The present values, as one object that never changes: after a change there is another one. Any thread."""
        assert self._now is not None, "the parameters are not declared yet"
        return self._now

    def _check(self, parameters: Iterable[Parameter]) -> SetParametersResult:
        wanted = {given.name: given.value for given in parameters if given.name in self._values}
        complaints = [text for name, value in wanted.items() if (text := self._by_name[name].complaint(value))]
        values = {**self._values, **wanted}
        # While they are declared, overrides come one by one: whether they go together is checked when all are there.
        if not complaints and self._now is not None:
            try:
                self._now = snapshot(self._kind, values)
            except ValueError as error:
                complaints.append(str(error))
        if complaints:
            return SetParametersResult(successful=False, reason="; ".join(complaints))
        self._values = values
        return SetParametersResult(successful=True)
