"""Puts the nodes that follow into a namespace, until the group ends."""

from __future__ import annotations

from typing import Any

from launch import Action, LaunchContext, SomeSubstitutionsType

CONFIGURATION = "ros_namespace"


class PushRosNamespace(Action):
    def __init__(self, namespace: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._namespace = namespace

    def execute(self, context: LaunchContext) -> None:
        pushed = join_namespace(context, context.perform_substitutions(self._namespace))
        context.launch_configurations[CONFIGURATION] = pushed


def join_namespace(context: LaunchContext, namespace: str) -> str:
    """`namespace` inside the pushed one; one that starts with a slash stands alone. Empty if there is neither."""
    if namespace.startswith("/"):
        return namespace.rstrip("/") or "/"
    base = context.launch_configurations.get(CONFIGURATION, "").rstrip("/")
    if not namespace:
        return base
    return f"{base}/{namespace}".rstrip("/") if base else f"/{namespace}".rstrip("/")
