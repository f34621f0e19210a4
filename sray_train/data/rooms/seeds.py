"""Which seeds are for what. A room's seed decides everything about it."""

from __future__ import annotations

FIRST_HELD_OUT_SEED = 9000
"""From here on rooms are held out. By custom 0-7999 are for training, 8000-8999 for validation."""


def parse_seeds(text: str) -> list[int]:
    """The seeds of `7`, `0:10` (end left out), or several of these apart by commas or spaces.

    Raises ValueError for anything else, or if no seed is named.
    """
    seeds: list[int] = []
    for part in text.replace(",", " ").split():
        first, colon, end = part.partition(":")
        try:
            named = range(int(first), int(end) if colon else int(first) + 1)
        except ValueError as error:
            raise ValueError(f"seeds are {text!r}; expected seeds such as 7, or first:end such as 0:10") from error
        if not named or named.start < 0:
            raise ValueError(f"seeds {text!r} name no room; expected 0 <= first < end, such as 0:10")
        seeds.extend(named)
    if not seeds:
        raise ValueError(f"seeds are {text!r}; expected seeds such as 7, or first:end such as 0:10")
    return list(dict.fromkeys(seeds))
