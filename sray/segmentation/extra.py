"""What pseudo-labels need and a mapping robot does not: imported when asked for, missed by name."""

from __future__ import annotations

import importlib
from types import ModuleType

from sray.errors import ErrorCode, SrayError

EXTRA = "segmenter"


def optional(module: str) -> ModuleType:
    """Import a module of the extra. Raises SrayError(BAD_FILE), naming the extra, if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise SrayError(
            ErrorCode.BAD_FILE,
            f"{error.name} is not installed, which 2D segmenters need; expected the extra {EXTRA}. Install it: "
            f"pip install 'sray_ros[{EXTRA}]'",
        ) from error
