"""What the tables are, read from `declared/*.yaml`. Every value stays the text it is written as: 70.20 keeps its 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from sray_train.paper.tables.choosing import Filter, check_filter

FOLDER = Path(__file__).with_name("declared")


@dataclass(frozen=True)
class DataSet:
    """A dataset, by the first word of `Record.data`."""

    name: str
    missing: str
    """What a cell without a record says."""
    needs: str
    """What has to be run for it."""


@dataclass(frozen=True)
class Column:
    """One figure a row."""

    name: str
    of: str = ""
    """One of METRICS, `steps`, `seconds`, or `cost.` and a name in `Record.cost`."""
    shown_in: Literal["both", "paper", "ours"] = "both"
    where: Filter = field(default_factory=dict)
    """Of our records, beside the row's own."""


@dataclass(frozen=True)
class Row:
    """One system, ablation or length."""

    label: tuple[str, ...]
    """One text per entry of the table's head; `{steps}` and the like are filled in from the records."""
    paper: dict[str, list[str]] = field(default_factory=dict)
    """Dataset -> the paper's figures, one per column that the paper has."""
    records: Filter | None = None
    """Which records are ours; None where the paper alone has the row."""
    each: str = ""
    """A field of Record: the row appears once for every value of it among the records."""
    series: str = ""
    """What a picture calls the row; several rows may be points of one curve."""
    not_applicable: tuple[str, ...] = ()
    """Columns that cannot be measured of it."""

    @property
    def name(self) -> str:
        return self.series or ", ".join(part for part in self.label if "{" not in part)


@dataclass(frozen=True)
class Picture:
    """A picture of the table's first column of strict mIoU."""

    kind: Literal["bars", "curves"]
    file: str
    over: str = ""
    """Of curves: the field of Record to the right."""


@dataclass(frozen=True)
class Table:
    """One table of the paper, and ours beside it."""

    number: int
    title: str
    caption: str
    head: tuple[str, ...]
    paper: tuple[str, ...]
    """Datasets of the paper's columns."""
    ours: tuple[str, ...]
    """Datasets of ours."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    needs: dict[str, str] = field(default_factory=dict)
    """Dataset -> what has to be run for this table, where it is not what the dataset says."""
    transposed: bool = False
    picture: Picture | None = None

    @property
    def paper_columns(self) -> list[Column]:
        return [column for column in self.columns if column.shown_in != "ours"]

    @property
    def our_columns(self) -> list[Column]:
        return [column for column in self.columns if column.shown_in != "paper"]


@dataclass(frozen=True)
class Side:
    """What one side of a comparison is called, and its records."""

    name: str
    records: Filter


@dataclass(frozen=True)
class Order:
    """A claim of the paper: of each pair, the first is better."""

    claim: str
    pairs: tuple[tuple[Side, Side], ...]


def load_tables() -> list[Table]:
    """All tables by number. Raises ValueError naming the file if one is not as declared here."""
    return [_named(path, _table) for path in sorted(FOLDER.glob("table_*.yaml"))]


def load_datasets() -> dict[str, DataSet]:
    return {name: DataSet(**raw) for name, raw in _read(FOLDER / "datasets.yaml").items()}


def load_orders() -> list[Order]:
    return [
        Order(raw["claim"], tuple((_side(pair["better"], raw), _side(pair["worse"], raw)) for pair in raw["pairs"]))
        for raw in _read(FOLDER / "orders.yaml")
    ]


def _side(raw: list[Any], order: dict[str, Any]) -> Side:
    return Side(raw[0], check_filter({**order["each"], **raw[1]}))


def _named(path: Path, make: Any) -> Any:
    try:
        return make(_read(path))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def _table(raw: dict[str, Any]) -> Table:
    columns = tuple(_column(column) for column in raw.pop("columns"))
    rows = tuple(_row(row) for row in raw.pop("rows"))
    own = {**raw, "columns": columns, "rows": rows, "number": int(raw["number"])}
    own |= {name: tuple(raw[name]) for name in ("head", "paper", "ours", "notes") if name in raw}
    own |= {"transposed": raw.get("transposed") == "true"}
    if "picture" in raw:
        own["picture"] = Picture(**raw["picture"])
    table = Table(**own)
    for row in table.rows:
        _check(table, row)
    return table


def _column(raw: dict[str, Any]) -> Column:
    return Column(raw["name"], raw.get("of", ""), raw.get("in", "both"), check_filter(raw.get("where", {})))


def _row(raw: dict[str, Any]) -> Row:
    records = check_filter(raw.pop("records")) if "records" in raw else None
    label, absent = tuple(raw.pop("label")), tuple(raw.pop("not_applicable", ()))
    return Row(label=label, records=records, not_applicable=absent, **raw)


def _check(table: Table, row: Row) -> None:
    if len(row.label) != len(table.head):
        raise ValueError(
            f"row {row.label} has {len(row.label)} labels; expected {len(table.head)}, one for each of head"
        )
    for dataset, figures in row.paper.items():
        if dataset not in table.paper or len(figures) != len(table.paper_columns):
            raise ValueError(
                f"row {row.label} has {len(figures)} figures of {dataset}; expected "
                f"{len(table.paper_columns)} of one of {', '.join(table.paper)}"
            )


def _read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
