"""A finding of a check: sentences for people, and figures for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["problem", "warning"]
Figure = float | int | str | list[int] | list[float] | list[str] | None


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be."""

    code: str
    """Stable name for programs, such as `poses-inverted`."""
    severity: Severity
    """A problem makes training on the recording a waste of time; a warning is worth a look."""
    what: str
    evidence: str
    """The figures that show it."""
    cause: str
    """What most likely brought it about."""
    remedy: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """The evidence for programs."""


def listed(numbers: list[int], most: int = 8) -> str:
    """Frame numbers for a sentence: `3, 4, 5 and 17 more`."""
    shown = ", ".join(str(number) for number in numbers[:most])
    return shown if len(numbers) <= most else f"{shown} and {len(numbers) - most} more"
