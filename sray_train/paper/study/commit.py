"""Which code a record was made by."""

from __future__ import annotations

import functools
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@functools.cache
def present_commit() -> str:
    """The commit of the source tree this runs from, `-dirty` if files of it were changed; installed, the version."""
    try:
        command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        try:
            return f"release {version('sray_ros')}"
        except PackageNotFoundError:
            return "unknown"
    return found.stdout.strip()
