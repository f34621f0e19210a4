"""Text that is known only once the launch runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext


class Substitution:
    def perform(self, context: LaunchContext) -> str:
        raise NotImplementedError


SomeSubstitutionsType = str | Path | Substitution | Iterable[str | Path | Substitution]
