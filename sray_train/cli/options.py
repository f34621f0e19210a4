"""What several commands ask of their options. ValueErrors: the command line shows them as wrong arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sray.encoder import LEAST_SIDE

DEFAULT_CHECKPOINT = Path("models/sray_indoor.safetensors")
"""That commands take where none is named: the better of the two that come with the package."""
LEAST = {"targets": 1, "views": 1, "width": LEAST_SIDE, "height": LEAST_SIDE, "frames": 0, "threads": 0}


def check_options(command: object) -> None:
    """Raises ValueError for a number that is too small, bounds that are none, or a device that is not there.

    Options that the command does not have, or that are None, are fine.
    """
    for name, low in LEAST.items():
        value = getattr(command, name, None)
        if value is not None and value < low:
            raise ValueError(f"{name} is {value}; expected at least {low}")
    bounds = getattr(command, "bounds", None)
    if bounds is not None and not 0 < bounds[0] < bounds[1]:
        raise ValueError(f"bounds are {bounds[0]} to {bounds[1]} m; expected 0 < near < far")
    if getattr(command, "device", "auto") == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda, but there is none; expected cpu or auto")


def given_options(command: object, *names: str) -> dict[str, Any]:
    """The named options that are not None, by their names: those that replace what a config says."""
    return {name: value for name in names if (value := getattr(command, name)) is not None}
