"""Records for machines: JSON files that appear whole or not at all, and replace nothing unasked."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from sray.errors import FileError
from sray.files import write_atomically


def refuse_existing(path: Path, option: str, *, overwrite: bool) -> None:
    """Raises FileError if there is something at `path` already, before hours are spent on replacing it."""
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists", "a free name", f"Pass --overwrite or another {option}")


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write valid JSON: null where a number is not finite. Raises FileError."""
    write_atomically(path, (json.dumps(with_nulls(record), indent=2, allow_nan=False) + "\n").encode())


def with_nulls(value: Any) -> Any:
    """The same with None for every number that JSON does not know: NaN and the infinities."""
    if isinstance(value, dict):
        return {key: with_nulls(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [with_nulls(part) for part in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
