"""Which records a cell is made from: all that agree with a filter, which maps fields of Record to what they must be.

A value is compared as text; `any` agrees with all, `data` with what begins so, `steps: last` with the end of every run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields

from sray_train.paper.study.record import Record

Filter = dict[str, str]

DEFAULTS: Filter = {"part": "test", "input": "RGB", "teacher": "ground truth", "steps": "last"}
"""Holds where a table says nothing else."""
FIELDS = frozenset(each.name for each in fields(Record)) - {"metrics", "options", "cost", "per_scene", "size"}


def check_filter(given: Filter) -> Filter:
    """The same. Raises ValueError if it names what is no field to filter by."""
    if strange := set(given) - FIELDS:
        raise ValueError(f"{', '.join(sorted(strange))} in {given}; expected fields of Record")
    return given


def choose(records: Iterable[Record], *filters: Filter) -> list[Record]:
    """Records that agree with DEFAULTS and all filters, a later one above an earlier; of seeds that are complete."""
    wanted = dict(DEFAULTS)
    for each in filters:
        wanted |= each
    found = [record for record in records if all(_agrees(record, name, value) for name, value in wanted.items())]
    found = _complete(found)
    return _longest(found) if wanted["steps"] == "last" else found


def _complete(records: list[Record]) -> list[Record]:
    """Without seeds that have learned only some of the scenes: a mean over fewer is one of something else."""
    scenes: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in records:
        if record.setting != "generalization":
            scenes[record.variant][record.seed].add(record.data)
    all_scenes = {variant: set().union(*seeds.values()) for variant, seeds in scenes.items()}
    return [
        record
        for record in records
        if record.setting == "generalization" or scenes[record.variant][record.seed] == all_scenes[record.variant]
    ]


def _longest(records: list[Record]) -> list[Record]:
    """Of every seed and scene (or set of scenes) the records with the most steps."""
    most: dict[tuple[int, str], int] = {}
    for record in records:
        run = (record.seed, record.data)
        most[run] = max(record.steps, most.get(run, 0))
    return [record for record in records if record.steps == most[record.seed, record.data]]


def _agrees(record: Record, name: str, value: str) -> bool:
    if value == "any" or (name == "steps" and value == "last"):
        return True
    own = str(getattr(record, name))
    return own.startswith(value) if name == "data" else own == value


def unused(records: Sequence[Record], used: Iterable[Record]) -> dict[str, int]:
    """Variant -> number of records that no table shows, for those variants of which none is shown."""
    shown = {record.variant for record in used}
    counts: dict[str, int] = {}
    for record in records:
        if record.variant not in shown:
            counts[record.variant] = counts.get(record.variant, 0) + 1
    return counts
