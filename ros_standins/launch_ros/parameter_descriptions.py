"""Parameters of a node, written as a file that `--params-file` reads."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext, SomeSubstitutionsType, Substitution


class ParameterFile:
    """A YAML file of parameters, sections by node name, `/**` for all nodes."""

    def __init__(self, param_file: SomeSubstitutionsType, *, allow_substs: bool = False) -> None:
        if allow_substs:
            raise NotImplementedError("substitutions inside parameter files are not part of the stand-in")
        self.param_file = param_file

    def evaluate(self, context: LaunchContext) -> Path:
        return Path(context.perform_substitutions(self.param_file))


class ParameterValue:
    """A value with a type: without one, a substitution's text is read as YAML."""

    def __init__(self, value: Any, *, value_type: type | None = None) -> None:
        self.value = value
        self.value_type = value_type

    def evaluate(self, context: LaunchContext) -> Any:
        if self.value_type is not None:
            text = context.perform_substitutions(self.value) if is_text(self.value) else self.value
            return text if self.value_type is str else self.value_type(yaml.safe_load(str(text)))
        if isinstance(self.value, str) or not is_text(self.value):
            return self.value
        return yaml.safe_load(context.perform_substitutions(self.value))


SomeParameters = SomeSubstitutionsType | ParameterFile | Mapping[str, Any]


def is_text(value: Any) -> bool:
    """Whether a value stands for text: plain, a substitution, or a list with a substitution in it."""
    if isinstance(value, (str, Path, Substitution)):
        return True
    return isinstance(value, (list, tuple)) and any(isinstance(part, Substitution) for part in value)


def parameter_file(context: LaunchContext, parameters: SomeParameters) -> Path:
    """The file to give to the node; one written here is removed when the launch ends."""
    if isinstance(parameters, ParameterFile):
        return parameters.evaluate(context)
    if not isinstance(parameters, Mapping):
        return Path(context.perform_substitutions(parameters))
    content = {"/**": {"ros__parameters": flatten(context, parameters)}}
    with tempfile.NamedTemporaryFile("w", prefix="launch_params_", suffix=".yaml", delete=False) as file:
        yaml.safe_dump(content, file)
    path = Path(file.name)
    context.at_end.callback(path.unlink, missing_ok=True)
    return path


def flatten(context: LaunchContext, parameters: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested names joined by dots, values evaluated."""
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        name = prefix + context.perform_substitutions(key)
        if isinstance(value, Mapping):
            flat.update(flatten(context, value, f"{name}."))
        else:
            flat[name] = (value if isinstance(value, ParameterValue) else ParameterValue(value)).evaluate(context)
    return flat
