"""What pseudo-labels need and a mapping robot does not: imported when asked for, missed by name."""

from __future__ import annotations

import importlib
from types import ModuleType

from sray.errors import NotInstalledError

EXTRA = "segmenter"


def optional(module: str) -> ModuleType:
    """Import a module of the extra. Raises NotInstalledError, naming the extra, if it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise NotInstalledError(
            f"{error.name} is not installed, which 2D segmenters need",
            f"the extra {EXTRA}",
            f"Install it: pip install 'sray_ros[{EXTRA}]'",
        ) from error
