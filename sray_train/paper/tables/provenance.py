"""The notes below a table: on which data, at which size, from how many views, ... its cells were measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sray_train.paper.study.record import Record
from sray_train.paper.tables.cells import Cell
from sray_train.paper.tables.declaration import Row


def provenance(rows: Iterable[tuple[Row, Sequence[Cell]]]) -> list[str]:
    """One line for all rows that were measured alike, naming the rows where there are several lines."""
    alike: dict[str, tuple[list[str], list[Record]]] = {}
    for row, cells in rows:
        by_setting: dict[str, list[Record]] = {}
        for record in {id(record): record for cell in cells for record in cell.records}.values():
            by_setting.setdefault(_how(record), []).append(record)
        for how, records in by_setting.items():
            names, all_records = alike.setdefault(f"{_scenes(records)}; {how}", ([], []))
            if row.name not in names:
                names.append(row.name)
            all_records += records
    lines = [f"{how}; {_budget(records)}" for how, (_, records) in alike.items()]
    if len(lines) == 1:
        return [f"Measured on {lines[0]}."]
    return [f"On {line}. Rows: {'; '.join(names)}." for line, (names, _) in zip(lines, alike.values(), strict=True)]


def _how(record: Record) -> str:
    parts = [
        record.setting,
        record.part if record.part != "test" else "",
        "x".join(map(str, record.size)) if any(record.size) else "",
        f"quality {record.quality}" if any(record.size) else "",
        record.input if any(record.size) else "",
    ]
    return ", ".join(part for part in parts if part)


def _scenes(records: Iterable[Record]) -> str:
    """`rooms 09000, 09001` of the records of two scenes."""
    by_dataset: dict[str, list[str]] = {}
    for record in records:
        dataset, _, scenes = record.data.partition(" ")
        found = by_dataset.setdefault(dataset, [])
        if scenes not in found:
            found.append(scenes)
    return " and ".join(f"{dataset} {', '.join(sorted(scenes))}" for dataset, scenes in by_dataset.items())


def _budget(records: Sequence[Record]) -> str:
    """What may differ from record to record, all that there is of each."""
    pictures = sorted({record.pictures for record in records if record.pictures})
    views = sorted({record.views for record in records})
    steps = sorted({record.steps for record in records})
    steps = (
        [] if steps == [0] and not any(record.seconds for record in records) else steps
    )  # a cost: nothing is trained
    seeds = sorted({record.seed for record in records})
    parts = [
        _count(pictures, "picture", "pictures a record"),
        _count(views, "source view", "source views"),
        _count(steps, "step", "steps"),
        f"{'seed' if len(seeds) == 1 else 'seeds'} {_list(seeds)}",
        _texts("commit", "commits", (record.commit for record in records)),
        _texts("", "", (f"`{record.config}`" for record in records)),
        _texts("on", "on", (record.device for record in records)),
        _texts("seconds are", "seconds are", (f"{record.clock} time" for record in records if record.clock)),
    ]
    return "; ".join(part for part in parts if part)


def _count(numbers: Sequence[int], one: str, many: str) -> str:
    return f"{_list(numbers)} {one if list(numbers) == [1] else many}" if numbers else ""


def _list(values: Sequence[int | str]) -> str:
    """All, or the first ones and the last of a long row."""
    shown = values if len(values) <= 6 else [*values[:3], "...", values[-1]]
    return ", ".join(map(str, shown))


def _texts(one: str, many: str, texts: Iterable[str]) -> str:
    found = sorted({text for text in texts if text.strip("`")})
    return f"{one if len(found) == 1 else many} {_list(found)}".strip() if found else ""
