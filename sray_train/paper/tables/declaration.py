"""What the tables are, read from `declared/*.yaml`. Every value stays the text it is written as: 70.20 keeps its 0."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from sray_train.paper.tables.choosing import Filter, check_filter

FOLDER = Path(__file__).with_name("declared")
DECLARED = ConfigDict(extra="forbid")
CheckedFilter = Annotated[Filter, AfterValidator(check_filter)]


@dataclass(frozen=True, config=DECLARED)
class DataSet:
    """A dataset, by the first word of `Record.data`."""

    name: str
    missing: str
    """What a cell without a record says."""
    needs: str
    """What has to be run for it."""


@dataclass(frozen=True, config=DECLARED)
class Column:
    """One figure a row."""

    name: str
    of: str = ""
    """One of METRICS, `steps`, `seconds`, or `cost.` and a name in `Record.cost`."""
    shown_in: Literal["both", "paper", "ours"] = "both"
    where: CheckedFilter = field(default_factory=dict)
    """Of our records, beside the row's own."""


@dataclass(frozen=True, config=DECLARED)
class Row:
    """One system, ablation or length."""

    label: tuple[str, ...]
    """One text per entry of the table's head; `{steps}` and the like are filled in from the records."""
    paper: dict[str, list[str]] = field(default_factory=dict)
    """Dataset -> the paper's figures, one per column that the paper has."""
    records: CheckedFilter | None = None
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


@dataclass(frozen=True, config=DECLARED)
class Picture:
    """A picture of the table's first column of strict mIoU."""

    kind: Literal["bars", "curves"]
    file: str
    over: str = ""
    """Of curves: the field of Record to the right."""


@dataclass(frozen=True, config=DECLARED)
class Table:
    """One table of the paper, and ours beside it; or one of ours alone."""

    title: str
    caption: str
    head: tuple[str, ...]
    paper: tuple[str, ...]
    """Datasets of the paper's columns."""
    ours: tuple[str, ...]
    """Datasets of ours."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    number: int | None = None
    """The paper's; None: the paper has no such table."""
    notes: tuple[str, ...] = ()
    needs: dict[str, str] = field(default_factory=dict)
    """Dataset -> what has to be run for this table, where it is not what the dataset says."""
    transposed: bool = False
    picture: Picture | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.label) != len(self.head):
                raise ValueError(
                    f"row {row.label} has {len(row.label)} labels; expected {len(self.head)}, one for each of head"
                )
            for dataset, figures in row.paper.items():
                if dataset not in self.paper or len(figures) != len(self.paper_columns):
                    raise ValueError(
                        f"row {row.label} has {len(figures)} figures of {dataset}; expected "
                        f"{len(self.paper_columns)} of one of {', '.join(self.paper)}"
                    )

    @property
    def heading(self) -> str:
        return self.title if self.number is None else f"Table {self.number}: {self.title}"

    @property
    def block(self) -> str:
        """Of the page: the name in its markers."""
        return self.title.lower() if self.number is None else f"table {self.number}"

    @property
    def paper_columns(self) -> list[Column]:
        return [column for column in self.columns if column.shown_in != "ours"]

    @property
    def our_columns(self) -> list[Column]:
        return [column for column in self.columns if column.shown_in != "paper"]


@dataclass(frozen=True, config=DECLARED)
class Side:
    """What one side of a comparison is called, and its records."""

    name: str
    records: CheckedFilter


@dataclass(frozen=True, config=DECLARED)
class Order:
    """A claim of the paper: of each pair, the first is better."""

    claim: str
    pairs: tuple[tuple[Side, Side], ...]


def load_tables() -> list[Table]:
    """Ours, then the paper's by number. Raises ValueError naming the file if one is not as declared here."""
    return [_read(path, Table) for path in sorted(FOLDER.glob("table_*.yaml"))]


def load_datasets() -> dict[str, DataSet]:
    found: dict[str, DataSet] = _read(FOLDER / "datasets.yaml", dict[str, DataSet])
    return found


def load_orders() -> dict[str, list[Order]]:
    """By the page's block that shows them: orders of the studies on equal terms, and of the earlier ones."""
    return {name: _orders(raw) for name, raw in _read(FOLDER / "orders.yaml", dict[str, list[dict[str, Any]]]).items()}


def _orders(found: list[dict[str, Any]]) -> list[Order]:
    return [
        Order(raw["claim"], tuple((_side(pair["better"], raw), _side(pair["worse"], raw)) for pair in raw["pairs"]))
        for raw in found
    ]


def _side(raw: list[Any], order: dict[str, Any]) -> Side:
    return Side(raw[0], {**order["each"], **raw[1]})


def _read(path: Path, kind: Any) -> Any:
    """Raises ValueError, naming the file, for what is no `kind`."""
    try:
        return TypeAdapter(kind).validate_python(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
