"""Records of levels and of rivals as tables, for the terminal and for the page of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sray.errors import FileError
from sray_train.paper.tables.markdown import as_table

TITLES = {"levels": "Where labels are lost", "rivals": "What one would take instead"}
"""Headings of the blocks on the page of results."""
PICTURE = "levels.png"


def read_record(path: Path) -> dict[str, Any]:
    """What `sray levels` or `sray compare` wrote. Raises FileError if it is not that."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: {error}", "a record of sray levels or sray compare") from error
    if not isinstance(record, dict) or not {"levels", "pairs"} & record.keys():
        raise FileError(f"{path} is no record", "what sray levels or sray compare writes")
    return record


def levels_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of `sray levels` in a folder by their titles, those of unseen scenes first."""
    found = [record for path in sorted(folder.glob("*.json")) if "levels" in (record := read_record(path))]
    return {record["title"]: record for record in sorted(found, key=lambda one: int(one["tune_steps"]))}


def page_blocks(folder: Path, pictures: str) -> dict[str, str]:
    """Blocks of the page of results by their names in TITLES; those that the folder has records of."""
    blocks = {}
    if levels := levels_of(folder):
        parts = [text for one in levels.values() for text in (levels_table(one), steps_table(one), _measured_on(one))]
        blocks["levels"] = "\n\n".join([*parts, f"![{TITLES['levels']}]({pictures}/{PICTURE})"])
    if (path := folder / "rivals.json").exists():
        record = read_record(path)
        blocks["rivals"] = "\n\n".join([scores_table(record), pairs_table(record), _rivals_on(record)])
    return blocks


def _measured_on(record: dict[str, Any]) -> str:
    meters, degrees = record["source_distance_m"], record["source_angle_degrees"]
    return (
        f"{record['views']} pictures of rooms {', '.join(record['scenes'])}. Source views are {meters:.2f} m and "
        f"{degrees:.0f} degrees away (median); {_percent(record['occluded'])} % of the surface points in their images "
        f"are hidden from them. {_checkpoint(record)}"
    )


def _rivals_on(record: dict[str, Any]) -> str:
    width, height = record["size"]
    return (
        f"Rooms {', '.join(record['scenes'])}, {width}x{height}, {record['source_views']} source views, voxels of "
        f"{record['voxel_size']} m. Seconds are processor time, of showing the sources and rendering. "
        f"{_checkpoint(record)}"
    )


def _checkpoint(record: dict[str, Any]) -> str:
    return f"`{record['checkpoint_file']}` ({record['checkpoint'][:8]}), commit {record['commit']}."


def levels_table(record: dict[str, Any], *, even: bool = False) -> str:
    """One row a level. `even`: columns of one width, for a terminal."""
    head = [f"{record['title']}: strict mIoU, %", "all pixels", "95 %", "away from edges"]
    rows = [
        [level["what"], _percent(level["strict_miou"]), _span(level), _percent(level["strict_miou_away_from_edges"])]
        for level in record["levels"].values()
    ]
    return as_table(head, rows, even=even)


def steps_table(record: dict[str, Any], *, even: bool = False) -> str:
    """One row a step of the waterfall."""
    rows = [[step["step"], f"{100 * step['difference']:+.1f}", _span(step)] for step in record["steps"]]
    return as_table([f"{record['title']}: step", "points", "95 %"], rows, even=even)


def scores_table(record: dict[str, Any], *, even: bool = False) -> str:
    """Scores of rivals: one row a rival and place."""
    head = ["", "where", "strict mIoU, %", "95 %", "PSNR, dB", "void, %", "seconds a picture"]
    rows = [
        [row["rival"], row["where"], _percent(row["strict_miou"]), _span(row), _decibels(row["psnr"]),
         _percent(row["void"]), f"{row['seconds']:.1f}"]
        for row in record["scores"]
    ]  # fmt: skip
    return as_table(head, rows, even=even)


def pairs_table(record: dict[str, Any], *, even: bool = False) -> str:
    """Differences of rivals."""
    head = ["first", "less", "where", "points", "95 %"]
    rows = [
        [row["first"], row["second"], row["where"], f"{100 * row['difference']:+.1f}", _span(row)]
        for row in record["pairs"]
    ]
    return as_table(head, rows, even=even)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _decibels(value: float | None) -> str:
    """A picture compared with itself has none."""
    return "" if value is None or value != value else f"{value:.1f}"


def _span(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{100 * low:.1f} to {100 * high:.1f}"
