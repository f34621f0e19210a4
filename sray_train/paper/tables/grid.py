"""A table laid out: the paper's columns, then ours for each dataset, as texts; and the cells behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sray_train.paper.study.record import Record
from sray_train.paper.tables.cells import NOT_APPLICABLE, Cell, make_cell
from sray_train.paper.tables.choosing import choose
from sray_train.paper.tables.declaration import Column, DataSet, Row, Table
from sray_train.paper.tables.provenance import provenance


@dataclass(frozen=True)
class Measured:
    """A cell of ours and where it stands."""

    row: Row
    dataset: str
    column: Column
    cell: Cell


@dataclass(frozen=True)
class Grid:
    """A table as texts."""

    table: Table
    head: list[str]
    rows: list[list[str]]
    notes: list[str]
    """Lines below the table."""
    measured: list[Measured]


def lay_out(table: Table, datasets: dict[str, DataSet], records: Sequence[Record]) -> Grid:
    """The table with what the records hold."""
    rows = [row for declared in table.rows for row in _expand(declared, table, records)]
    cells = {dataset: _cells_of(rows, dataset, table, records) for dataset in table.ours}
    head, columns = list(table.head), [list(texts) for texts in zip(*(_label(row, table) for row in rows), strict=True)]
    for dataset in table.paper:
        for number, column in enumerate(table.paper_columns):
            head.append(f"paper, {datasets[dataset].name}: {column.name}")
            columns.append([row.paper[dataset][number] if dataset in row.paper else "" for row in rows])
    for dataset in table.ours:
        is_measured = _is_measured(cells[dataset], first=dataset == table.ours[0])
        ours, texts = _our_columns(table, rows, cells[dataset], datasets[dataset], is_measured=is_measured)
        head += ours
        columns += texts
    lines = [list(line) for line in zip(*columns, strict=True)]
    if table.transposed:
        whole = [head, *lines]
        head, *lines = [[line[number] for line in whole] for number in range(len(head))]
    added = ["†: not in the paper."] if table.paper and any(_is_added(row) for row in rows) else []
    notes = [*added, *table.notes, *_measured_on(table, rows, cells, datasets)]
    return Grid(table, head, lines, notes, [each for of_dataset in cells.values() for each in of_dataset])


def _expand(row: Row, table: Table, records: Sequence[Record]) -> Iterator[Row]:
    """The row, or where it says `each`, one for every value among the records of any dataset."""
    if not row.each or row.records is None:
        yield row
        return
    found = [
        record
        for dataset in table.ours
        for record in choose(records, {"data": dataset}, row.records | {row.each: "any"})
    ]
    values = sorted({getattr(record, row.each) for record in found})
    for value in values:
        label = tuple(part.format(**{row.each: value}) for part in row.label)
        yield replace(row, label=label, records=row.records | {row.each: str(value)}, series=row.name)
    if not values:
        yield replace(row, label=tuple("ours" if "{" in part else part for part in row.label), series=row.name)


def _is_added(row: Row) -> bool:
    """Whether the paper has no such row; that our numbers of steps are not the paper's goes without saying."""
    return not row.paper and not row.each


def _label(row: Row, table: Table) -> tuple[str, ...]:
    return (f"{row.label[0]} †", *row.label[1:]) if table.paper and _is_added(row) else row.label


def _cells_of(rows: Sequence[Row], dataset: str, table: Table, records: Sequence[Record]) -> list[Measured]:
    cells = []
    for row in rows:
        for column in table.our_columns if row.records is not None else ():
            if column.name in row.not_applicable or row.records is None:
                continue
            found = choose(records, {"data": dataset}, row.records, column.where)
            cells.append(Measured(row, dataset, column, make_cell(column.of, found)))
    return cells


def _is_measured(cells: Sequence[Measured], *, first: bool) -> bool:
    """Whether there are records. A column of its own data (a cost) is the same for every dataset: the first has it."""
    return any(each.cell.records and (first or "data" not in each.column.where) for each in cells)


def _our_columns(
    table: Table, rows: Sequence[Row], cells: Sequence[Measured], dataset: DataSet, *, is_measured: bool
) -> tuple[list[str], list[list[str]]]:
    """Heads and texts; one column that says what is missing where nothing was measured."""
    if not is_measured:
        return [f"ours, {dataset.name}"], [["" if row.records is None else dataset.missing for row in rows]]
    text = {(id(each.row), id(each.column)): each.cell.text for each in cells}
    heads, columns = [], []
    for column in table.our_columns:
        heads.append(f"ours, {dataset.name}: {column.name}" if table.paper else column.name)
        absent = [NOT_APPLICABLE if row.records is not None else "" for row in rows]
        columns.append([text.get((id(row), id(column)), absent[number]) for number, row in enumerate(rows)])
    return heads, columns


def _measured_on(
    table: Table, rows: Sequence[Row], cells: dict[str, list[Measured]], datasets: dict[str, DataSet]
) -> Iterator[str]:
    """What our cells were measured on, and what has to be run for those that were not."""
    for name, of_dataset in cells.items():
        dataset, needs = datasets[name], table.needs.get(name, datasets[name].needs)
        if not _is_measured(of_dataset, first=name == table.ours[0]):
            yield f"Ours on {dataset.name}: not measured; needs {needs}."
            continue
        by_row = {id(row): [each.cell for each in of_dataset if each.row is row] for row in rows}
        yield from provenance([(row, by_row[id(row)]) for row in rows if by_row[id(row)]])
        empty = [row for row in rows if by_row[id(row)] and not any(cell.records for cell in by_row[id(row)])]
        if empty:
            yield f"Not measured on {dataset.name} ({'; '.join(dict.fromkeys(row.name for row in empty))}): {needs}."
