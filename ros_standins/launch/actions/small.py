"""Actions of a few lines each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from launch import events
from launch.action import Action
from launch.event import Event
from launch.event_handler import EventHandler
from launch.launch_context import LaunchContext
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.logging import log
from launch.substitution import SomeSubstitutionsType


class OpaqueFunction(Action):
    """Calls `function(context, *args, **kwargs)`; the entities it returns are visited."""

    def __init__(
        self,
        *,
        function: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        self._function, self._args, self._kwargs = function, tuple(args), kwargs or {}

    def execute(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity] | None:
        return self._function(context, *self._args, **self._kwargs)


class GroupAction(Action):
    """Several actions; what they set (arguments, environment, namespace) ends with the group if it is scoped."""

    def __init__(self, actions: Iterable[Action], *, scoped: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._actions, self._scoped = list(actions), scoped

    def execute(self, context: LaunchContext) -> Iterable[LaunchDescriptionEntity]:
        if not self._scoped:
            return self._actions
        open_scope = OpaqueFunction(function=lambda context: context.push_scope())
        close_scope = OpaqueFunction(function=lambda context: context.pop_scope())
        return [open_scope, *self._actions, close_scope]

    def describe_sub_entities(self) -> Iterable[LaunchDescriptionEntity]:
        return self._actions


class SetEnvironmentVariable(Action):
    def __init__(self, name: SomeSubstitutionsType, value: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._name, self._value = name, value

    def execute(self, context: LaunchContext) -> None:
        context.environment[context.perform_substitutions(self._name)] = context.perform_substitutions(self._value)


class SetLaunchConfiguration(Action):
    def __init__(self, name: SomeSubstitutionsType, value: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._name, self._value = name, value

    def execute(self, context: LaunchContext) -> None:
        name = context.perform_substitutions(self._name)
        context.launch_configurations[name] = context.perform_substitutions(self._value)


class RegisterEventHandler(Action):
    def __init__(self, event_handler: EventHandler, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._handler = event_handler

    def execute(self, context: LaunchContext) -> None:
        context.register_event_handler(self._handler)


class EmitEvent(Action):
    def __init__(self, *, event: Event, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._event = event

    def execute(self, context: LaunchContext) -> None:
        context.emit_event_sync(self._event)


class Shutdown(EmitEvent):
    def __init__(self, *, reason: str = "reason not given", **kwargs: Any) -> None:
        super().__init__(event=events.Shutdown(reason=reason), **kwargs)


class LogInfo(Action):
    def __init__(self, *, msg: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._message = msg

    def execute(self, context: LaunchContext) -> None:
        log("INFO", "launch.user", context.perform_substitutions(self._message))


class TimerAction(Action):
    """Emits its actions after `period` seconds, unless the launch ends before."""

    def __init__(self, *, period: float, actions: Iterable[LaunchDescriptionEntity], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._period, self._actions = float(period), list(actions)

    def execute(self, context: LaunchContext) -> None:
        elapsed = Event()
        timer = context.keep_alive(self._wait(context, elapsed))
        context.register_event_handler(
            EventHandler(matcher=lambda event: event is elapsed, entities=self._actions, handle_once=True)
        )
        context.register_event_handler(
            EventHandler(
                matcher=lambda event: isinstance(event, events.Shutdown), entities=lambda *_: timer.cancel() and None
            )
        )

    async def _wait(self, context: LaunchContext, elapsed: Event) -> None:
        await asyncio.sleep(self._period)
        context.emit_event_sync(elapsed)
