"""The rows of a bag's check: a verdict and its remedy each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Row:
    """One thing that was looked at."""

    subject: str
    verdict: Verdict
    """A problem: the node would not work. A note: it would, but less well than it could, or worth knowing."""
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Row:
    return Row(subject, "ok", text)


def note(subject: str, text: str, remedy: str = "") -> Row:
    return Row(subject, "note", text, remedy)


def problem(subject: str, text: str, remedy: str) -> Row:
    return Row(subject, "problem", text, remedy)


def percent(share: float) -> str:
    """Never rounds to all or to none what is not."""
    if 0 < share < 0.01 or 0.99 < share < 1:
        return f"{100 * share:.2f} %"
    return f"{100 * share:.0f} %"


def listed(names: Iterable[object], most: int = 6) -> str:
    """Names for a sentence; odd ones are quoted and shortened."""
    every = [str(name) for name in names]
    shown = [name if name.isprintable() and 0 < len(name) < 80 else repr(name[:60]) for name in every[:most]]
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(shown) + rest if shown else "none"
