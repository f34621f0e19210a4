"""A ROS node: an executable of a package, with name, namespace, parameters and remappings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_prefix
from launch import LaunchContext, SomeSubstitutionsType
from launch.actions import ExecuteProcess
from launch_ros.actions.push_ros_namespace import join_namespace
from launch_ros.parameter_descriptions import SomeParameters, parameter_file


class Node(ExecuteProcess):
    def __init__(
        self,
        *,
        executable: SomeSubstitutionsType,
        package: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        namespace: SomeSubstitutionsType | None = None,
        exec_name: str | None = None,
        parameters: Iterable[SomeParameters] | None = None,
        remappings: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] | None = None,
        ros_arguments: Iterable[SomeSubstitutionsType] | None = None,
        arguments: Iterable[SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cmd=[], name=exec_name, **kwargs)
        self._executable, self._package = executable, package
        self._node_name, self._namespace = name, namespace
        self._parameters, self._remappings = list(parameters or []), list(remappings or [])
        self._arguments, self._ros_arguments = list(arguments or []), list(ros_arguments or [])
        self.node_name = ""
        """Fully qualified, known once the node is executed."""

    def execute(self, context: LaunchContext) -> None:
        perform = context.perform_substitutions
        namespace = join_namespace(context, perform(self._namespace or ""))
        name = None if self._node_name is None else perform(self._node_name)
        self.node_name = f"{namespace.rstrip('/')}/{name or '<node_name_unspecified>'}"

        ros: list[SomeSubstitutionsType] = [*self._ros_arguments]
        if name is not None:
            ros += ["-r", f"__node:={name}"]
        if namespace:
            ros += ["-r", f"__ns:={namespace}"]
        for parameters in self._parameters:
            ros += ["--params-file", parameter_file(context, parameters)]
        for old, new in self._remappings:
            ros += ["-r", f"{perform(old)}:={perform(new)}"]
        self.cmd = [self._find(context), *self._arguments, "--ros-args", *ros]
        super().execute(context)

    def _find(self, context: LaunchContext) -> str:
        executable = context.perform_substitutions(self._executable)
        if self._package is None:
            return executable
        package = context.perform_substitutions(self._package)
        folder = Path(get_package_prefix(package)) / "lib" / package
        if not (folder / executable).exists():
            raise FileNotFoundError(f"executable '{executable}' not found on the libexec directory '{folder}'")
        return str(folder / executable)
