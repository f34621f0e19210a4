"""Parameters of a node, written as a file that `--params-file` reads."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from launch import LaunchContext
from launch.core import Text


class ParameterValue:
    """A value that keeps its type: text stays text, "42" included."""

    def __init__(self, value: Any, *, value_type: type) -> None:
        self.value = value_type(value)


def parameter_file(context: LaunchContext, parameters: Text | Mapping[str, Any]) -> str:
    """The path to give to the node: that of a file, or of one written here, which is removed when the launch ends."""
    if not isinstance(parameters, Mapping):
        return context.perform(parameters)
    values = {name: each.value if isinstance(each, ParameterValue) else each for name, each in parameters.items()}
    with tempfile.NamedTemporaryFile("w", prefix="launch_params_", suffix=".yaml", delete=False) as file:
        yaml.safe_dump({"/**": {"ros__parameters": values}}, file)
    context.at_end.callback(Path(file.name).unlink, missing_ok=True)
    return file.name
