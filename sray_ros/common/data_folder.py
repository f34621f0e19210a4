"""DataFolder: the only folder that services read from and write to. A client on the network names files in it."""

from __future__ import annotations

import os
from pathlib import Path

from sray.errors import FileError, SrayError

LONGEST_NAME = 200
"""Bytes: with suffix and what a half-written file is called, what every file system takes."""


class DataFolder:
    """File arguments are names in here: absolute paths, `..` and links that lead out are refused."""

    def __init__(self, root: Path | str) -> None:
        self._root = Path(root).expanduser()

    def path(self, name: str, suffix: str) -> Path:
        """Where the file of this name is, or would be; `suffix` is added where it lacks.

        Raises FileError, naming the name, for anything but a plain relative name inside the folder.
        """
        if complaint := complaint_about_name(name):
            raise self._bad(name, complaint)
        path = self._root / (name if name.endswith(suffix) else name + suffix)
        try:
            is_inside = path.resolve().is_relative_to(self._root.resolve())
        except (OSError, RuntimeError) as error:  # a loop of links, a name too long
            raise self._bad(name, f"cannot be looked up ({error})") from error
        if not is_inside:
            raise self._bad(name, "is a link that leads out of the folder")
        return path

    def _bad(self, name: str, what: str) -> SrayError:
        return FileError(
            f"the file name {name[:200]!r} {what}",
            f"a name inside data_dir ({self._root}), such as 'kitchen' or 'monday/kitchen'",
        )


def complaint_about_name(name: str) -> str | None:
    """Why this cannot be the name of a file in a data folder, whichever it is; None if it can."""
    if not name or name.endswith("/"):
        return "names no file"
    if len(os.fsencode(name)) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        return "leads out of the folder"
    return None
