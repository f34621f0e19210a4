"""A bag's check on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sray_train.tools.bags.check import BagCheck

_COLORS = {"problem": "bold red", "note": "yellow", "ok": "green"}


def show(result: BagCheck, console: Console) -> None:
    """A row for each thing that was looked at, the verdict, and the line that plays the bag."""
    table = Table(title=escape(str(result.bag)), title_justify="left", show_header=False)
    table.add_column(overflow="fold")
    table.add_column()
    table.add_column(ratio=1, overflow="fold")
    for row in result.rows:
        remedy = f"\n[dim]remedy:[/] {escape(row.remedy)}" if row.remedy else ""
        table.add_row(escape(row.subject), f"[{_COLORS[row.verdict]}]{row.verdict}[/]", f"{escape(row.text)}{remedy}")
    console.print(table)
    problems, notes = (_count(result, verdict) for verdict in ("problem", "note"))
    if result.works:
        console.print(f"The node works with this bag: {notes}.", style="bold green", highlight=False)
    else:
        console.print(f"The node cannot work with this bag: {problems}, {notes}.", style="bold red", highlight=False)
    if result.launch:
        console.print(result.launch, soft_wrap=True, highlight=False, markup=False)


def _count(result: BagCheck, verdict: str) -> str:
    number = sum(row.verdict == verdict for row in result.rows)
    return f"{number} {verdict}{'' if number == 1 else 's'}"
